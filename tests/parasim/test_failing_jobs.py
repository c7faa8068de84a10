"""Sweeps over scenarios in which clients fail: the same bytes however many processes work on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parasim.command_line import run

FAILING = """\
method: parablock
rounds: 6
compute: {seconds: 10}
payload: {upload: 50MB}
blocks: {count: 3}
fleet:
  - name: branch
    count: 12
    uplink: 20MB/s
    available: {share: 70%, session: 2min, day_to_night: 3}
    outages: {every: 1min, last: 3s, transfers: restart}
    dropout: {rate: 6%}
    failures: {every: 5min, repair: 10s}
  - {name: office, count: 4, uplink: 50MB/s, speed: 0.5, dropout: {rate: 10%, during: exchange}}
participation: {fraction: 0.5, over_selection: 1.3, quorum: 70%, deadline: {median: 1.2, mad: 3}, short: wait}
"""
VARIED = ("--method", "parablock,fedbcd,flora", "--vary", "fleet.0.dropout.rate=0,0.2,0.4", "--vary")
VARIED += ("participation.late=discard,next-round", "--vary", "seed=1,2")


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    path = tmp_path / "failing.yaml"
    path.write_text(FAILING)
    return path


def test_a_sweep_is_the_same_for_any_number_of_jobs(failing: Path, tmp_path: Path):
    outcomes = {}
    for jobs in (1, 2, 4):
        out = tmp_path / f"{jobs}"
        ended = run("sweep", failing, *VARIED, "--out", out, "--jobs", str(jobs), "--format", "csv")
        assert ended.status == 0, ended.err
        files = {path.name: path.read_bytes() for path in out.iterdir() if path.name != "reproduce.json"}
        outcomes[jobs] = ended.out, files
    assert outcomes[1] == outcomes[2] == outcomes[4]
    # 3 methods x 3 rates x 2 x 2 runs; hardly any two are alike.
    rows = outcomes[1][0].splitlines()
    assert len(rows) == 1 + 36
    assert len({row.split(",", 5)[-1] for row in rows[1:]}) > 30
