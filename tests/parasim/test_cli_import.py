"""`paraSim import links` on the command line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from tests.parasim.command_line import refused, run
from tests.parasim.importing.samples import SPEEDTEST_CLI, iperf, write
from tests.parasim.importing.test_ping import LINUX


def test_what_was_taken_from_where_is_printed_and_the_fleet_is_simulated(tmp_path: Path):
    up, ping = write(tmp_path / "up.json", iperf(94.2e6)), write(tmp_path / "ping.txt", LINUX)
    out = tmp_path / "new" / "fleet.yaml"
    outcome = run("import", "links", f"berlin={up}", f"berlin={ping}", "--out", out)
    assert outcome.status == 0, outcome.err
    for said in ("berlin", "97.58 Mbit/s", "94.2 Mbit/s at the receiver", "6.2 ms", "not known", str(out)):
        assert said in outcome.out
    assert run("simulate", out, "--set", "fleet.0.transport=null").status == 0


def test_figures_for_programs(tmp_path: Path):
    cli = write(tmp_path / "cli.json", SPEEDTEST_CLI)
    rows = list(csv.DictReader(io.StringIO(run("import", "links", cli, "--format", "csv").out)))
    values = {row["field"]: (row["value"], row["unit"]) for row in rows}
    assert values["uplink"] == (str(38_117_020.25 / 8), "B/s")
    assert values["loss"] == ("", "share")
    [client] = json.loads(run("import", "links", cli, "--format", "json").out)["clients"]
    assert client["latency"]["value"] == 0.0107
    assert client["control"]["value"] is None
    assert sorted(tmp_path.iterdir()) == [cli]


def test_one_wrong_file_and_nothing_is_written(tmp_path: Path):
    good, bad = write(tmp_path / "cli.json", SPEEDTEST_CLI), write(tmp_path / "bad.json", "{")
    out = tmp_path / "new" / "fleet.yaml"
    message = refused("import", "links", good, bad, "--trace", "--out", out)
    assert message.startswith(f"{bad}: ")
    assert "\n" not in message
    assert not out.parent.exists()
