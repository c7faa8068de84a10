"""Quantities as people write them: ``100MB/s``, ``1 Gbit/s``, ``250ms``, ``16GiB``, ``2.5USD``, ``400W``.

Prefixes are decimal (k, M, G, T, P) unless written binary (Ki, Mi, Gi, Ti); a capital ``B`` is a byte, a
small ``b`` (or ``bit``) a bit, and the two are never guessed from one another. Everything inside paraSim is
in base units: seconds, bytes, bytes per second.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from parasim_core.sim.errors import UnitError, shown

LONGEST_TEXT = 60
"""Characters of the longest quantity."""
# ASCII alone: \d and \s would take the digits and spaces of every script; those of JSON Schema do not.
_SPACE = r"[ \t\r\n]*"
_EXPONENT = r"(?:[eE][+-]?[0-9]+)?"
_NUMBER = rf"(?:[0-9]+\.?[0-9]*|\.[0-9]+){_EXPONENT}"
_ZERO = rf"(?:0+\.?0*|\.0+){_EXPONENT}"
_QUANTITY = re.compile(rf"{_SPACE}([+-]?{_NUMBER}){_SPACE}(.*?){_SPACE}")
_PREFIXES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_BYTES = {"B": 1, "byte": 1, "bytes": 1, "b": 0.125, "bit": 0.125, "bits": 0.125}
_SIZES: dict[str, float] = {
    prefix + unit: factor * size for prefix, factor in (_PREFIXES | _BINARY).items() for unit, size in _BYTES.items()
}
_BANDWIDTHS = {f"{size}/s": value for size, value in _SIZES.items()} | {
    prefix + unit: factor * size for prefix, factor in _PREFIXES.items() for unit, size in (("bps", 0.125), ("Bps", 1))
}
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86400}
_PRICES_OF_TRAFFIC = {f"USD/{size}": 1 / value for size, value in _SIZES.items()}


@dataclass(frozen=True, eq=False)
class QuantityKind:
    """A kind of quantity. Called with a text or a bare number, it gives the value in base units.

    Attributes
    ----------
    name : str
        With its article, for messages.
    examples : str
        How it is written.
    units : mapping of str to float
        In base units.
    largest : float
        Beyond it, sums would no longer be finite numbers.
    bare_is_base_unit : bool
        Whether a number needs no unit. Zero never does.
    least : tuple of float and str
        The least value, in base units and as it is written.

    Raises
    ------
    UnitError
        When called: if it is no number, has no unit or another kind of unit, is too small, not finite or too large.
    """

    name: str
    examples: str
    units: Mapping[str, float]
    largest: float
    bare_is_base_unit: bool = False
    least: tuple[float, str] = 0.0, "0"

    def __call__(self, text: str | float) -> float:
        """Read a quantity."""
        if type(text) is float and self.bare_is_base_unit and max(self.least[0], 0.0) < text <= self.largest:
            # As most of many are.
            return text
        match = None
        if isinstance(text, str | int | float) and not isinstance(text, bool):
            # No quantity is longer, and matching a very long text could take very long.
            match = _QUANTITY.fullmatch(str(text)[: LONGEST_TEXT + 1])
        if match is None or len(match[0]) > LONGEST_TEXT:
            raise UnitError(f"{shown(text)} is not {self.name}; write it like {self.examples}")
        number, unit = float(match[1]), match[2]
        if unit:
            if unit not in self.units:
                hint = f"unknown unit {shown(unit)} for {self.name}{self._hint(unit)}; write it like {self.examples}"
                raise UnitError(f"{shown(text)}: {hint}")
            number *= self.units[unit]
        elif number != 0 and not self.bare_is_base_unit:
            raise UnitError(f"{shown(text)} has no unit; write {self.name} like {self.examples}")
        if number < self.least[0] or match[1].startswith("-"):
            raise UnitError(f"{shown(text)}: {self.name} must be at least {self.least[1]}")
        if number > self.largest:
            raise UnitError(f"{shown(text)}: too large for {self.name}")
        return number

    def or_as(self, other: str) -> QuantityKind:
        """Give the same kind for a field that takes something else, too: messages say how that is written."""
        return replace(self, examples=f"{self.examples}, or give {other}")

    @property
    def pattern(self) -> str:
        """Regular expression of the texts that are one, as JSON Schema writes them: ASCII, and with its own units."""
        units = "|".join(map(re.escape, sorted(self.units)))
        bare = _NUMBER if self.bare_is_base_unit else _ZERO
        return rf"^{_SPACE}\+?(?:{_NUMBER}{_SPACE}(?:{units})|{bare}){_SPACE}$"

    def _hint(self, unit: str) -> str:
        """Name the units that differ only in case or lack ``/s``: ``mb/s`` may have meant ``MB/s`` or ``Mb/s``."""
        alike = [known for known in self.units if known in (f"{unit}/s", f"{unit}ps")]
        alike = alike or sorted(known for known in self.units if known.lower() == unit.lower())
        return f" (did you mean {' or '.join(alike)}?)" if alike else ""


duration = QuantityKind("a duration", "250ms, 30s or 25min", _SECONDS, 1e12, bare_is_base_unit=True)
"""Reads a length of time [s]."""
size = QuantityKind("a size", "872MB or 16GiB", _SIZES, 1e18)
"""Reads an amount of data [B]."""
money = QuantityKind("an amount of money", "500USD", {"USD": 1}, 1e12)
"""Reads an amount of money [USD]."""
price_of_traffic = QuantityKind("a price of traffic", "0.05USD/GB", _PRICES_OF_TRAFFIC, 1e12)
"""Reads what data cost to send [USD/B]."""
power = QuantityKind("a power draw", "400W", {"mW": 1e-3, "W": 1, "kW": 1e3, "MW": 1e6}, 1e9)
"""Reads a power draw [W]."""
bandwidth = QuantityKind("a bandwidth", "100MB/s or 1Gbit/s", _BANDWIDTHS, 1e18, least=(0.125, "1bit/s"))
"""Reads a rate of data [B/s]; a bare number is refused, as bits and bytes would be a guess."""
bandwidth_or_zero = QuantityKind("a bandwidth", "100MB/s, 1Gbit/s or 0", _BANDWIDTHS, 1e18)
"""Reads a rate of data that may be none [B/s]."""
share = QuantityKind("a share", "0.1% or 0.001", {"%": 0.01}, 0.999, bare_is_base_unit=True)
"""Reads a share of a whole."""
part = QuantityKind("a share", "80% or 0.8", {"%": 0.01}, 1.0, bare_is_base_unit=True)
"""Reads a share that may be all of it."""


_RATES_IN_NAMES = (
    (re.compile(r"(?:.*_)?([kmgtKMGT]?)[bB]its?_(?:per_)?s"), 0.125),
    (re.compile(r"(?:.*_)?([kmgtKMGT]?)[bB]ytes?_(?:per_)?s"), 1.0),
    (re.compile(r"(?:.*_)?([kmgtKMGT]?)bps"), 0.125),
    (re.compile(r"(?:.*_)?([kKMGT]?)B(?:_s|_per_s|ps)"), 1.0),
)
"""Rates as names of columns tell them, and what they are without prefix [B/s]."""


def rate_in_name(name: str) -> float | None:
    """Find the unit of a rate in the name of a column, such as ``downlink_mbit_s``, ``up_MB_s`` or ``Mbps``.

    Parameters
    ----------
    name : str
        Letters are big or small as in quantities, but words and what stands for ``bps`` are known in small ones too:
        ``mbit_s`` and ``mbps`` are bits; ``mb_s`` could be either.

    Returns
    -------
    float or None
        [B/s]; None if the name does not tell it.
    """
    for pattern, size in _RATES_IN_NAMES:
        if match := pattern.fullmatch(name):
            return size * _PREFIXES[match[1].upper()]
    return None


def quantity(text: str) -> tuple[float, str]:
    """Read a number or a quantity of whatever kind.

    Parameters
    ----------
    text : str
        Such as ``4``, ``0.5``, ``100MB/s``, ``10ms``, ``872MB`` or ``0.1%``.

    Returns
    -------
    tuple of float and str
        The value in base units, and the base unit: ``B/s``, ``s``, ``B``, or nothing; of shares, per cent and ``%``.

    Raises
    ------
    UnitError
        If it is none of them.
    """
    if len(text) <= LONGEST_TEXT and re.fullmatch(rf"{_SPACE}[+-]?{_NUMBER}{_SPACE}", text):
        return float(text), ""
    for read, unit in ((bandwidth, "B/s"), (duration, "s"), (size, "B")):
        with suppress(UnitError):
            return read(text), unit
    with suppress(UnitError):
        return 100 * share(text), "%"
    raise UnitError(f"{shown(text)} is neither a number nor a quantity such as 100MB/s, 10ms or 872MB")


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


def format_share(value: float) -> str:
    """Write a share without losing digits: ``0.001``."""
    return _digits(value)


def _scaled(value: float) -> str:
    for prefix in ("P", "T", "G", "M", "k"):
        scaled = value / _PREFIXES[prefix]
        if scaled >= 1 and scaled * _PREFIXES[prefix] == value:
            return f"{_digits(scaled)}{prefix}"
    return _digits(value)


def _digits(value: float) -> str:
    return f"{value:.12g}" if float(f"{value:.12g}") == value else repr(value)
