from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.sim.errors import UnitError
from parasim_core.sim.scenario import units


@pytest.mark.parametrize(
    ("text", "bytes_per_second"),
    [
        ("100MB/s", 100e6),
        ("100 MB/s", 100e6),
        ("1Gbit/s", 125e6),  # 1e9 bits / 8
        ("1 Gb/s", 125e6),
        ("50Mbps", 6.25e6),
        ("50MBps", 50e6),
        ("1KiB/s", 1024.0),
        ("2.5e2kB/s", 250e3),
        ("1bit/s", 0.125),
    ],
)
def test_bandwidths(text: str, bytes_per_second: float):
    assert units.bandwidth(text) == bytes_per_second


@pytest.mark.parametrize(
    ("text", "size"),
    [("872MB", 872e6), ("16GiB", 16 * 2**30), ("8Mbit", 1e6), ("0", 0.0), (0, 0.0), ("12bytes", 12.0)],
)
def test_sizes(text: str | float, size: float):
    assert units.size(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        (30, 30.0),
        (0.5, 0.5),
        ("25min", 1500.0),
        ("2h", 7200.0),
        ("1e-3", 1e-3),
        ("3us", 3e-6),
        ("2d", 172_800),
    ],
)
def test_durations(text: str | float, seconds: float):
    assert units.duration(text) == pytest.approx(seconds, rel=1e-15)


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        # SI, and IEC 80000-13: a prefix is 1000 or 1024 times the one before it.
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("PB", 1_000_000_000_000_000),
        ("KiB", 1_024),
        ("MiB", 1_048_576),
        ("GiB", 1_073_741_824),
        ("TiB", 1_099_511_627_776),
    ],
)
def test_prefixes(unit: str, size: int):
    assert units.size(f"1{unit}") == units.bandwidth(f"1{unit}/s") == size
    assert units.size(f"8{unit[:-1]}bit") == size


def test_a_bit_is_an_eighth_of_a_byte_and_1024_is_not_1000():
    assert units.bandwidth("8Mbit/s") == units.bandwidth("1MB/s")
    assert units.size("1KiB") == 1024
    assert units.size("1kB") == 1000


@pytest.mark.parametrize(
    "text", ["20", 20, "20MB", "20s", "MB/s", "", "-5MB/s", "0MB/s", "nanMB/s", "infMB/s", "1e99PB/s"]
)
def test_what_is_no_bandwidth(text: str | float):
    with pytest.raises(UnitError, match="bandwidth"):
        units.bandwidth(text)


@pytest.mark.parametrize("text", [float("nan"), float("inf"), -1, "-1s", "5MB", "soon", "1e300", True, None, [1], "1m"])
def test_what_is_no_duration(text: object):
    with pytest.raises(UnitError, match="duration"):
        units.duration(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [5, "5", "5MB/s", "-5MB", "1e99B", {}])
def test_what_is_no_size(text: object):
    with pytest.raises(UnitError, match="size"):
        units.size(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "hint"),
    [("20mb/s", "did you mean MB/s or Mb/s"), ("20MB", "did you mean MB/s or MBps"), ("20Mbit", "did you mean Mbit/s")],
)
def test_the_unit_that_was_probably_meant(text: str, hint: str):
    with pytest.raises(UnitError, match=hint):
        units.bandwidth(text)


def test_a_message_stays_short_whatever_was_given():
    with pytest.raises(UnitError) as caught:
        units.bandwidth("1" * 1_000_000 + "\nx")
    assert len(str(caught.value)) < 200


@given(st.floats(0.125, 1e18))
def test_a_written_bandwidth_reads_back_exactly(value: float):
    # Nothing may be lost between a scenario and the scenario that it is written to.
    assert units.bandwidth(units.format_bandwidth(value)) == value


@given(st.floats(0, 1e18))
def test_a_written_size_reads_back_exactly(value: float):
    assert units.size(units.format_size(value)) == value


@given(st.integers(1, 10**6), st.sampled_from(["k", "M", "G"]))
def test_round_figures_are_written_as_people_do(number: int, prefix: str):
    # 5 MB/s is "5MB/s"; 5,000 MB/s is the same bandwidth as "5GB/s", and shorter.
    text = units.format_bandwidth(units.bandwidth(f"{number}{prefix}B/s"))
    assert len(text) <= len(f"{number}{prefix}B/s") + 1
    assert "e" not in text


KINDS = {
    **{"100MB/s": units.bandwidth, "18ms": units.duration, "872MB": units.size, "5USD": units.money, "9W": units.power},
    "0.05USD/GB": units.price_of_traffic,
}
LOOK_ALIKE = str.maketrans("MmUWsB", "ＭｍＵＷｓＢ")


@pytest.mark.parametrize("text", KINDS)
def test_what_is_not_ascii_is_refused_by_the_reader_and_by_the_schema(text: str):
    kind = KINDS[text]
    changed = [
        # Digits of Arabic, full width, superscript and Bengali.
        *(re.sub("[1-9]", digit, text) for digit in "٣５²৩"),
        # Spaces that are not ASCII's, or not on every keyboard.
        *(re.sub(r"(?<=[0-9])(?=[A-Za-z])", space, text) for space in "\xa0\u2009\u3000\x0b\x0c\u200b\x85"),
        *(f"{space}{text}" for space in "\xa0\ufeff\u2028"),
        *(f"{sign}{text}" for sign in ("−", "－", "±", "- ", "++", "1_", "-")),
        text.translate(LOOK_ALIKE),
        f"{text}\x00",
    ]
    assert text not in changed
    for other in changed:
        assert not re.search(kind.pattern, other)
        with pytest.raises(UnitError):
            kind(other)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@given(text=st.text(alphabet="0019.eE+- \t\nµkMGi bByteps/dhW$USD٣\xa0", max_size=12))
def test_the_reader_and_the_schema_have_one_grammar(kind: units.QuantityKind, text: str):
    problem = ""
    try:
        kind(text)
    except UnitError as error:
        problem = str(error)
    # Of what is a quantity by its grammar, only the amount can be wrong.
    is_one = not problem or "too large" in problem or ("at least" in problem and "-" not in text.lstrip()[:1])
    assert is_one == bool(re.search(kind.pattern, text))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_unit_is_in_the_schema(kind: units.QuantityKind):
    for unit in kind.units:
        assert re.search(kind.pattern, f" +1.5e0 {unit}\n")
        assert kind(f" +1.5e0 {unit}\n") == 1.5 * kind.units[unit]


def test_quantities_of_an_axis_come_with_their_base_unit():
    told = [units.quantity(text) for text in ("4", "100MB/s", "10ms", "872MB", "0.5%")]
    assert told == [(4.0, ""), (1e8, "B/s"), (0.01, "s"), (872e6, "B"), (0.5, "%")]


@pytest.mark.parametrize("text", ["100%", "-1%", "٣", "1_0", "nan", "inf", " １", "1e٣", "Infinity", "-inf"])
def test_what_is_not_a_number_on_an_axis(text: str):
    with pytest.raises(UnitError):
        units.quantity(text)
