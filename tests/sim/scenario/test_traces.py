"""Recorded links: what files say, what is left out of them, and what is refused with the row in one line."""

from __future__ import annotations

import hashlib
import math
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.network.capacity import Varying
from parasim_core.sim.scenario import trace_files
from parasim_core.sim.scenario.links import Steps, Traced
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Group
from parasim_core.sim.scenario.trace_files import recorded
from parasim_core.sim.scenario.traces import capacity, followed_traces, mean_rate, rate_text, scaled, varies, with_mean


def trace(folder: Path, text: str, name: str = "trace.csv", **fields: Any) -> Traced:
    (folder / name).write_text(text)
    return Traced(trace=str(folder / name), **fields)


def rows_of(link: Traced) -> list[tuple[float, float]]:
    course = recorded(link).course
    return list(zip(course.times, course.rates, strict=True))


def test_rates_hold_from_their_time_on_and_the_last_as_long_as_the_typical_one(tmp_path: Path):
    link = trace(tmp_path, "seconds,up_mbit_s\n0,8\n2,16\n4,24\n")
    # 8 Mbit/s are 1 MB/s. Rows are two seconds apart, so that the last one holds from 4 to 6 s.
    assert rows_of(link) == [(0, 1e6), (2, 2e6), (4, 3e6)]
    assert recorded(link).course.period == 6
    assert mean_rate(link) == pytest.approx(2e6)


def test_the_clock_begins_at_the_first_row(tmp_path: Path):
    assert rows_of(trace(tmp_path, "seconds,up_MB_s\n1700000000,1\n1700000001,2\n")) == [(0, 1e6), (1, 2e6)]


@pytest.mark.parametrize(
    ("column", "rate"),
    [
        ("up_mbit_s", 125e3),
        ("up_MB_s", 1e6),
        ("up_bit_s", 0.125),
        ("up_kbit_s", 125),
        ("up_Bps", 1),
        ("MBps", 1e6),
        ("goodput_mbps", 125e3),
        ("Gbit_per_s", 125e6),
        ("up_kilo_bytes_s", 1),
        ("B_s", 1),
    ],
)
def test_units_from_names_of_columns(column: str, rate: float, tmp_path: Path):
    assert rows_of(trace(tmp_path, f"seconds,{column}\n0,1\n1,2\n"))[0][1] == rate


def test_one_column_of_rates_needs_no_name(tmp_path: Path):
    text = "seconds,up_mbit_s,latency_ms,note\n0,8,20,a\n1,16,20,b\n"
    assert rows_of(trace(tmp_path, text)) == [(0, 1e6), (1, 2e6)]


def test_a_unit_is_told_where_the_name_does_not(tmp_path: Path):
    assert rows_of(trace(tmp_path, "seconds,rate\n0,1\n1,2\n", unit="MB/s")) == [(0, 1e6), (1, 2e6)]


def test_files_of_other_systems(tmp_path: Path):
    text = '\ufeff"seconds","up_MB_s"\r\n"0","1"\r\n\r\n1, 2 \r\n'
    (tmp_path / "t.csv").write_bytes(text.encode())
    assert rows_of(Traced(trace=str(tmp_path / "t.csv"))) == [(0, 1e6), (1, 2e6)]


def test_of_equal_times_the_later_row_holds(tmp_path: Path):
    assert rows_of(trace(tmp_path, "seconds,up_MB_s\n0,1\n1,2\n1,3\n1,4\n2,5\n")) == [(0, 1e6), (1, 4e6), (2, 5e6)]


def test_a_hole_in_the_record_is_left_out(tmp_path: Path):
    # Every second for 20 s, then nothing for an hour, then 20 s more; a missing row in between is no hole.
    seconds = [*range(10), *range(11, 20), *range(3620, 3640)]
    link = trace(tmp_path, "seconds,up_MB_s\n" + "".join(f"{s},{s % 7 + 1}\n" for s in seconds))
    found = recorded(link)
    assert (found.rows, found.holes) == (39, 1)
    # From 19 to 3620 s are 3601 s, of which the row at 19 s holds one.
    assert found.left_out == 3600
    assert found.course.period == 40
    assert found.course.times[-20:].tolist() == list(range(20, 40))


def test_few_rows_have_no_typical_interval(tmp_path: Path):
    assert recorded(trace(tmp_path, "seconds,up_MB_s\n0,1\n1,2\n2,1\n900,2\n")).holes == 0


def test_mahimahi(tmp_path: Path):
    # Three packets up to 1 ms, one of them at 0, which is the end of the round before; one at 5 ms; two at 10 ms.
    link = trace(tmp_path, "0\n1\n1\n5\n10\n10\n", "verizon.up")
    # 2 x 1500 B in 1 ms; 1500 B in 4 ms; and 3 x 1500 B in 5 ms.
    assert rows_of(link) == [(0, 3e6), (0.001, 375e3), (0.005, pytest.approx(900e3))]
    course = recorded(link).course
    assert course.period == 0.01
    assert course.total == pytest.approx(6 * 1500, rel=1e-12)


def test_mahimahi_delivers_what_the_file_delivers(tmp_path: Path):
    drawn = random.Random(5)
    for case in range(100):
        times = [*sorted(drawn.randrange(500) for _ in range(drawn.randint(1, 300))), 500]
        varying = capacity(trace(tmp_path, "".join(f"{time}\n" for time in times), f"{case}"), 0)
        assert isinstance(varying, Varying)
        # Twin: packets counted one by one, three times through the file; its zero is the end of the time before.
        passed = sorted(500 * round + (time or 500) for round in range(3) for time in times)
        for now in drawn.sample(passed, 5):
            count = sum(time <= now for time in passed)
            assert varying.delivered(0.0, now / 1000) == pytest.approx(1500 * count, rel=1e-9), case


def test_starts(tmp_path: Path):
    text = "seconds,up_MB_s,down_MB_s\n" + "".join(f"{s},{s + 1},{9 * s + 1}\n" for s in range(20))

    def begins(column: str, start: Any, client: int, seed: int = 0) -> float:
        varying = capacity(trace(tmp_path, text, column=column, start=start), seed, client)
        assert isinstance(varying, Varying)
        return varying.start

    assert begins("up_MB_s", "5s", 0) == 5
    # Later than the end is that much further on in another round.
    assert begins("up_MB_s", "45s", 0) == 5
    # A client's directions begin together; clients, and the same client of other seeds, elsewhere.
    assert begins("up_MB_s", "random", 3) == begins("down_MB_s", "random", 3)
    assert len({begins("up_MB_s", "random", client, seed) for client in range(10) for seed in range(3)}) == 30
    assert all(0 <= begins("up_MB_s", "random", client) < 20 for client in range(50))


def test_random_starts_are_spread_evenly(tmp_path: Path):
    link = trace(tmp_path, "seconds,up_MB_s\n" + "".join(f"{s},{s + 1}\n" for s in range(20)), start="random")
    starts = [varying.start for client in range(400) if isinstance(varying := capacity(link, 1, client), Varying)]
    # The mean of 400 uniform draws of 0 to 20 s is 10 +- 0.29 s.
    assert np.mean(starts) == pytest.approx(10, abs=6 * 20 / math.sqrt(12 * 400))


def test_what_never_changes_is_a_number(tmp_path: Path):
    assert capacity(5e6, 0) == 5e6
    assert capacity(None, 0) == mean_rate(None) == math.inf
    assert capacity(Steps.model_validate({"steps": [["0s", "5MB/s"]]}), 0) == 5e6
    assert capacity(Steps.model_validate({"steps": [["0s", "5MB/s"]], "period": "9s"}), 0) == 5e6
    constant = trace(tmp_path, "seconds,up_MB_s\n0,5\n1,5\n", scale=2, start="random")
    assert capacity(constant, 0) == 10e6
    assert not varies(constant)


def test_means():
    # 60 s of 10 MB/s, then 60 s of 2 MB/s.
    steps = Steps.model_validate({"steps": [["0s", "10MB/s"], ["60s", "2MB/s"]], "period": "120s"})
    assert mean_rate(steps) == pytest.approx(6e6)
    assert rate_text(steps) == "mean 6MB/s"
    assert rate_text(6e6) == "6MB/s"
    once = steps.model_copy(update={"period": None})
    # The last rate holds for ever.
    assert mean_rate(once) == 2e6
    # What ends in nothing has the mean of what came before.
    assert mean_rate(Steps.model_validate({"steps": [["0s", "10MB/s"], ["60s", "0B/s"]]})) == 10e6


def test_links_with_another_mean_keep_their_course(tmp_path: Path):
    steps = Steps.model_validate({"steps": [["0s", "10MB/s"], ["60s", "2MB/s"]], "period": "120s"})
    changed = with_mean(steps, 3e6)
    assert isinstance(changed, Steps)
    assert changed.steps == ((0, 5e6), (60, 1e6))
    link = trace(tmp_path, "seconds,up_MB_s\n0,1\n1,3\n", scale=0.5)
    assert mean_rate(link) == 1e6
    assert mean_rate(with_mean(link, 7e6)) == pytest.approx(7e6)
    assert with_mean(5e6, 7e6) == 7e6
    assert scaled(5e6, 3) == 15e6


REFUSED = {
    "no seconds": ("time,up_mbit_s\n0,1\n", {}, "seconds"),
    "nearest column of times": ("secnds,up_mbit_s\n0,1\n", {}, "did you mean 'secnds'"),
    "no such column": ("seconds,up_mbit_s\n0,1\n", {"column": "up_mbits"}, "did you mean 'up_mbit_s'"),
    "two columns": ("seconds,up_mbit_s,down_mbit_s\n0,1,2\n", {}, "'up_mbit_s' or 'down_mbit_s'"),
    "no column": ("seconds\n0\n", {}, "column"),
    "a column twice": ("seconds,up_mbit_s,up_mbit_s\n0,1,2\n", {"column": "up_mbit_s"}, "twice"),
    "no unit": ("seconds,up\n0,1\n", {}, "unit"),
    "bits or bytes": ("seconds,up_mb_s\n0,1\n", {}, "unit"),
    "two units": ("seconds,up_mbit_s\n0,1\n", {"unit": "MB/s"}, "unit"),
    "empty cell": ("seconds,up_mbit_s\n0,1\n\n1,\n", {}, "row 4: up_mbit_s is empty"),
    "missing cell": ("seconds,up_mbit_s\n0,1\n1\n", {}, "row 3: up_mbit_s is empty"),
    "no number": ("seconds,up_mbit_s\n0,1\n1,fast\n", {}, "row 3: up_mbit_s is 'fast'"),
    "underscores": ("seconds,up_mbit_s\n0,1\n1,1_0\n", {}, "row 3: up_mbit_s is '1_0'"),
    "decimal commas": ("seconds,up_mbit_s\n0,1,7\n1,2,5\n", {}, "row 2: has more cells"),
    "one decimal comma": ("seconds,up_mbit_s,note\n0,1,x\n1,2,5,y\n", {}, "row 3: has more cells"),
    "Mahimahi decimal comma": ("5\n\n7,5\n", {}, "row 3: has more cells"),
    "not a number": ("seconds,up_mbit_s\n0,1\n1,nan\n", {}, "row 3: up_mbit_s is not finite"),
    "infinite": ("seconds,up_mbit_s\n0,1\n\n\ninf,2\n", {}, "row 5: seconds is not finite"),
    "negative rate": ("seconds,up_mbit_s\n0,1\n1,-2\n", {}, "row 3: up_mbit_s is negative"),
    "negative time": ("seconds,up_mbit_s\n-1,1\n1,2\n", {}, "row 2: seconds is negative"),
    "times that go back": ("seconds,up_mbit_s\n0,1\n5,1\n4,1\n", {}, "row 4: seconds go back from 5 to 4"),
    "too fast": ("seconds,up_mbit_s\n0,1\n1,1e13\n", {}, "row 3: up_mbit_s is too large"),
    "too long": ("seconds,up_mbit_s\n0,1\n1e13,1\n", {}, "row 3"),
    "nothing ever": ("seconds,up_mbit_s\n0,0\n1,0\n", {}, "nothing"),
    "no rows": ("seconds,up_mbit_s\n\n", {}, "no rows"),
    "empty": ("\n", {}, "is empty"),
    "Mahimahi back": ("5\n7\n6\n", {}, "row 3"),
    "Mahimahi fraction": ("5\n7.5\n", {}, "row 2"),
    "Mahimahi word": ("5\nx\n", {}, "row 2"),
    "Mahimahi at once": ("0\n0\n", {}, "later than 0"),
    "Mahimahi column": ("5\n", {"column": "up"}, "column"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_said_in_one_line(name: str, tmp_path: Path):
    text, fields, said = REFUSED[name]
    with pytest.raises(ScenarioError) as error:
        recorded(trace(tmp_path, text, **fields))
    message = str(error.value)
    assert "\n" not in message
    assert "trace.csv" in message
    assert said in message


def test_commas_that_are_no_decimals(tmp_path: Path):
    # In quotes, or at the end of a row.
    link = trace(tmp_path, 'seconds,up_MB_s,note\n0,1,"a, b"\n1,2,c,\n2,3\n')
    assert rows_of(link) == [(0.0, 1e6), (1.0, 2e6), (2.0, 3e6)]


def test_what_is_no_file_of_text(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "latin.csv").write_bytes(b"seconds,up_mbit_s\n0,1\n\xe9,2\n")
    for name, said in {".": "directory", "pipe": "regular", "none.csv": "no such file", "latin.csv": "row 3"}.items():
        with pytest.raises(ScenarioError, match=said):
            recorded(Traced(trace=str(tmp_path / name)))


def test_the_size_of_a_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    link = trace(tmp_path, "seconds,up_mbit_s\n" + "".join(f"{s},1\n" for s in range(500_000)))
    monkeypatch.setattr(trace_files, "MAX_FILE_BYTES", 2**20)
    with pytest.raises(ScenarioError, match="larger than 1 MiB"):
        recorded(link)


def test_a_file_is_read_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    read: list[Path] = []
    real = trace_files.read_bytes
    monkeypatch.setattr(trace_files, "read_bytes", lambda path, most: (read.append(path), real(path, most))[1])
    text = "seconds,up_MB_s,down_MB_s\n0,1,4\n1,2,5\n"
    up, down = (trace(tmp_path, text, column=column, start="random") for column in ("up_MB_s", "down_MB_s"))
    first = [capacity(link, 0, client) for client in range(5) for link in (up, down)]
    assert len(read) == 1
    # All that follow a column share its course.
    assert len({id(varying.course) for varying in first if isinstance(varying, Varying)}) == 2
    assert recorded(up).digest == hashlib.sha256(text.encode()).hexdigest()
    trace(tmp_path, text + "2,3,60\n")
    assert mean_rate(up) == pytest.approx(2e6)


def test_a_million_rows(tmp_path: Path):
    rates = np.random.default_rng(0).integers(1, 100, 1_000_000)
    link = trace(tmp_path, "seconds,up_MB_s\n" + "".join(f"{s},{rate}\n" for s, rate in enumerate(rates.tolist())))
    assert recorded(link).rows == 1_000_000
    assert mean_rate(link) == pytest.approx(1e6 * rates.mean())


def test_what_a_run_says_of_its_traces(tmp_path: Path):
    text = "seconds,up_MB_s\n" + "".join(f"{s},{s % 7}\n" for s in [*range(20), *range(60, 80)])
    link = trace(tmp_path, text)
    groups = (Group(uplink=link), Group(downlink=link.model_copy(update={"scale": 2.0})))
    [said] = followed_traces(Scenario(model="llama-3-8b", fleet=groups))
    assert said == {
        "trace": link.trace,
        "column": "up_MB_s",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "rows": 40,
        "period": 40,
        "mean": f"{sum(s % 7 for s in [*range(20), *range(60, 80)]) / 40}MB/s",
        "holes": 1,
        "left_out": 40,
    }
