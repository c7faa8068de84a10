"""Quantities as people write them: ``100MB/s``, ``1 Gbit/s``, ``250ms``, ``16GiB``, ``2.5USD``, ``400W``.

Prefixes are decimal (k, M, G, T, P) unless written binary (Ki, Mi, Gi, Ti); a capital ``B`` is a byte, a
small ``b`` (or ``bit``) a bit, and the two are never guessed from one another. Everything inside paraSim is
in base units: seconds, bytes, bytes per second.
"""

from __future__ import annotations

import re

from sim.errors import UnitError, shown

# Beyond these, sums of times would no longer be finite numbers.
_LONGEST_DURATION = 1e12
_LARGEST_SIZE = 1e18
_HIGHEST_BANDWIDTH = 1e18
_LARGEST_PRICE = 1e12
_HIGHEST_POWER = 1e9
_LOWEST_BANDWIDTH = 0.125
_LONGEST_TEXT = 60

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*")
_PREFIXES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}

_SIZES: dict[str, float] = {
    prefix + unit: factor * bytes_per_unit
    for prefix, factor in (_PREFIXES | _BINARY).items()
    for unit, bytes_per_unit in (("B", 1), ("byte", 1), ("bytes", 1), ("b", 0.125), ("bit", 0.125), ("bits", 0.125))
}
_BANDWIDTHS: dict[str, float] = {f"{size}/s": value for size, value in _SIZES.items()} | {
    f"{prefix}{unit}": factor * bytes_per_second
    for prefix, factor in _PREFIXES.items()
    for unit, bytes_per_second in (("bps", 0.125), ("Bps", 1))
}
_MONEY: dict[str, float] = {"USD": 1}
_PRICES_OF_TRAFFIC: dict[str, float] = {f"USD/{size}": 1 / value for size, value in _SIZES.items()}
_POWERS: dict[str, float] = {"mW": 1e-3, "W": 1, "kW": 1e3, "MW": 1e6}
_DURATIONS: dict[str, float] = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1,
    "sec": 1,
    "min": 60,
    "h": 3600,
    "d": 86400,
}


def duration(text: str | float) -> float:
    """Read a length of time.

    Parameters
    ----------
    text : str or float
        Such as ``250ms``, ``30s``, ``25min``; a bare number is seconds.

    Returns
    -------
    float
        The duration [s], finite and not negative.

    Raises
    ------
    UnitError
        If it is no number, has another kind of unit, is negative or not finite.
    """
    return _read(text, _DURATIONS, "a duration", "250ms, 30s or 25min", _LONGEST_DURATION, bare_is_base_unit=True)


def size(text: str | float) -> float:
    """Read an amount of data.

    Parameters
    ----------
    text : str or float
        Such as ``872MB``, ``16GiB``, ``8Mbit``. A bare number has no unit and is refused, except zero.

    Returns
    -------
    float
        The size [B], finite and not negative.

    Raises
    ------
    UnitError
        If it is no number, has no unit or another kind of unit, is negative or not finite.
    """
    return _read(text, _SIZES, "a size", "872MB or 16GiB", _LARGEST_SIZE)


def bandwidth(text: str | float) -> float:
    """Read a rate of data.

    Parameters
    ----------
    text : str or float
        Such as ``100MB/s``, ``1Gbit/s``, ``50Mbps``. A bare number is refused: bits and bytes would be a guess.

    Returns
    -------
    float
        The bandwidth [B/s], finite and positive.

    Raises
    ------
    UnitError
        If it is no number, has no unit or another kind of unit, is zero, negative or not finite.
    """
    value = _read(text, _BANDWIDTHS, "a bandwidth", "100MB/s or 1Gbit/s", _HIGHEST_BANDWIDTH)
    if value == 0:
        raise UnitError(f"{shown(text)}: a bandwidth must be greater than zero")
    if value < _LOWEST_BANDWIDTH:
        raise UnitError(f"{shown(text)}: a bandwidth must be at least 1 bit/s")
    return value


def money(text: str | float) -> float:
    """Read an amount of money.

    Parameters
    ----------
    text : str
        Such as ``500USD``. A bare number has no currency and is refused, except zero.

    Returns
    -------
    float
        The amount [USD], finite and not negative.

    Raises
    ------
    UnitError
        If it is no number, has no or another currency, is negative or not finite.
    """
    return _read(text, _MONEY, "an amount of money", "500USD", _LARGEST_PRICE)


def price_of_traffic(text: str | float) -> float:
    """Read what data cost to send.

    Parameters
    ----------
    text : str
        Such as ``0.05USD/GB``.

    Returns
    -------
    float
        The price [USD/B], finite and not negative.

    Raises
    ------
    UnitError
        If it is no number, has no unit or another kind of unit, is negative or not finite.
    """
    return _read(text, _PRICES_OF_TRAFFIC, "a price of traffic", "0.05USD/GB", _LARGEST_PRICE)


def power(text: str | float) -> float:
    """Read a power draw.

    Parameters
    ----------
    text : str
        Such as ``400W`` or ``0.4kW``.

    Returns
    -------
    float
        The power [W], finite and not negative.

    Raises
    ------
    UnitError
        If it is no number, has no unit or another kind of unit, is negative or not finite.
    """
    return _read(text, _POWERS, "a power draw", "400W", _HIGHEST_POWER)


def quantity(text: str) -> tuple[float, str]:
    """Read a number or a quantity of whatever kind.

    Parameters
    ----------
    text : str
        Such as ``4``, ``0.5``, ``100MB/s``, ``10ms`` or ``872MB``.

    Returns
    -------
    tuple of float and str
        The value in base units, and the base unit: ``B/s``, ``s``, ``B``, or nothing.

    Raises
    ------
    UnitError
        If it is none of them.
    """
    try:
        return float(text), ""
    except ValueError:
        for read, unit in ((bandwidth, "B/s"), (duration, "s"), (size, "B")):
            try:
                return read(text), unit
            except UnitError:
                continue
    raise UnitError(f"{text!r} is neither a number nor a quantity such as 100MB/s, 10ms or 872MB")


def _read(
    text: str | float,
    units: dict[str, float],
    kind: str,
    examples: str,
    largest: float,
    *,
    bare_is_base_unit: bool = False,
) -> float:
    number, unit = _parts(text, kind, examples)
    if unit:
        if unit not in units:
            hint = _hint(unit, units)
            raise UnitError(f"{shown(text)}: unknown unit {unit!r} for {kind}{hint}; write it like {examples}")
        number *= units[unit]
    elif number != 0 and not bare_is_base_unit:
        raise UnitError(f"{shown(text)} has no unit; write {kind} like {examples}")
    if number < 0:
        raise UnitError(f"{shown(text)}: {kind} cannot be negative")
    if number > largest:
        raise UnitError(f"{shown(text)}: too large for {kind}")
    return number


def _parts(text: str | float, kind: str, examples: str) -> tuple[float, str]:
    """Split a quantity into its number and its unit, which may be empty."""
    match = None
    if isinstance(text, str | int | float) and not isinstance(text, bool):
        # No quantity is longer, and matching a very long text could take very long.
        match = _NUMBER.fullmatch(str(text)[: _LONGEST_TEXT + 1])
    if match is None or len(match[0]) > _LONGEST_TEXT:
        raise UnitError(f"{shown(text)} is not {kind}; write it like {examples}")
    return float(match[1]), match[2]


def _hint(unit: str, units: dict[str, float]) -> str:
    """Name the units that differ only in case or lack ``/s``: ``mb/s`` may have meant ``MB/s`` or ``Mb/s``."""
    alike = [known for known in units if known in (f"{unit}/s", f"{unit}ps")]
    alike = alike or sorted(known for known in units if known.lower() == unit.lower())
    return f" (did you mean {' or '.join(alike)}?)" if alike else ""


def format_bandwidth(value: float) -> str:
    """Write a bandwidth [B/s] as a person would, without losing digits: ``100MB/s``."""
    return f"{_scaled(value)}B/s"


def format_size(value: float) -> str:
    """Write a size [B] as a person would, without losing digits: ``872MB``."""
    return f"{_scaled(value)}B"


def format_money(value: float) -> str:
    """Write an amount of money [USD] without losing digits: ``2.5USD``."""
    return f"{_digits(value)}USD"


def format_price_of_traffic(value: float) -> str:
    """Write a price of traffic [USD/B] as a person would, without losing digits: ``0.05USD/GB``."""
    per_gigabyte = f"{value / _PRICES_OF_TRAFFIC['USD/GB']:.12g}USD/GB"
    return per_gigabyte if price_of_traffic(per_gigabyte) == value else f"{_digits(value)}USD/B"


def format_power(value: float) -> str:
    """Write a power draw [W] without losing digits: ``400W``."""
    return f"{_digits(value)}W"


def _scaled(value: float) -> str:
    for prefix in ("P", "T", "G", "M", "k"):
        scaled = value / _PREFIXES[prefix]
        if scaled >= 1 and scaled * _PREFIXES[prefix] == value:
            return f"{_digits(scaled)}{prefix}"
    return _digits(value)


def _digits(value: float) -> str:
    return f"{value:.12g}" if float(f"{value:.12g}") == value else repr(value)
