"""Which files are about one client, whose word is taken, and the fleet that comes out."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

import parasim
from parasim.importing.fleet import CSV_HEAD
from parasim.importing.links import import_links
from parasim_core.sim.errors import OutputError, ScenarioError
from parasim_core.sim.scenario.links import Traced
from parasim_core.sim.scenario.traces import mean_rate
from tests.parasim.importing.samples import IPERF_REFUSED, OOKLA, SPEEDTEST_CLI, iperf, iperf_both, mtr, write
from tests.parasim.importing.test_ping import LINUX, MACOS

MANY = """PING fl.example.org (203.0.113.9) 56(84) bytes of data.

--- fl.example.org ping statistics ---
1000 packets transmitted, 1000 received, 0% packet loss, time 3005ms
rtt min/avg/max/mdev = 12.200/12.400/12.600/0.163 ms
"""
"""A ping without loss."""


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder with a file of each kind."""
    monkeypatch.chdir(tmp_path)
    for name, content in {
        "up.json": iperf(94.2e6, sent=98e6),
        "down.json": iperf(160e6, reverse=True),
        "ping.txt": LINUX,
        "lossless.txt": MANY,
        "ookla.json": OOKLA,
        "cli.json": SPEEDTEST_CLI,
        "mtr.json": mtr(("203.0.113.9", 2.0, 18.5)),
    }.items():
        write(tmp_path / name, content)
    return tmp_path


def figures(*given: str, **options: Any) -> dict[str, dict[str, Any]]:
    """What is known of each client."""
    return {
        client.name: {one.field: one.value for one in client.taken if one.value is not None}
        for client in import_links(given, **options).clients
    }


def test_files_with_one_name_are_about_one_client():
    found = figures("berlin=up.json", "berlin=ping.txt", "lyon=ookla.json")
    assert set(found) == {"berlin", "lyon"}
    assert set(found["berlin"]) == {"uplink", "latency", "loss", "control"}
    assert set(found["lyon"]) == {"uplink", "downlink", "latency"}


def test_files_of_one_machine_to_one_server_are_about_one_client():
    # A ping tells only whom it asked, which is whom the one client was measured up to.
    assert set(figures("ping.txt", "up.json", "down.json", "mtr.json")) == {"berlin-7"}


def test_one_machine_that_measures_many_is_none_of_them(files: Path):
    write(files / "a.json", iperf(20e6, server="a.example.org") | {"title": ""})
    other = iperf(30e6, server="b.example.org")
    other["start"]["connected"][0]["remote_host"] = "198.51.100.3"
    write(files / "b.json", other)
    assert set(figures("a.json", "b.json")) == {"a", "b"}


def test_the_same_private_address_is_not_the_same_machine(files: Path):
    for name in ("a", "b"):
        write(files / f"{name}.json", iperf(20e6, host=f"machine-{name}", address="192.168.1.2"))
    # Nor is it clear whom a ping to the server of both is about.
    assert set(figures("a.json", "b.json", "ping.txt")) == {"a", "b", "ping"}


def test_speedtests_behind_one_public_address_are_about_one_client():
    assert set(figures("cli.json", "ookla.json")) == {"cli"}


def test_clients_come_in_the_order_of_the_files():
    assert list(figures("ping.txt", "b=cli.json", "up.json", "a=ookla.json")) == ["up", "b", "a"]


def test_a_title_names_the_client(files: Path):
    write(files / "a.json", iperf(20e6) | {"title": "berlin"})
    assert set(figures("a.json", "berlin=ping.txt")) == {"berlin"}


def test_names_stay_apart(files: Path):
    (files / "more").mkdir()
    for folder, host in (("", "a"), ("more/", "b")):
        write(files / f"{folder}same.json", iperf(20e6, host=host))
    assert set(figures("same.json", "more/same.json")) == {"same", "same 2"}


def test_latency_is_half_of_the_round_trip_and_ping_knows_it_best():
    every = ("a=up.json", "a=cli.json", "a=mtr.json", "a=ping.txt")
    assert figures(*every)["a"]["latency"] == pytest.approx(0.0124 / 2)
    assert figures(*every[:3])["a"]["latency"] == pytest.approx(0.0185 / 2)
    assert figures(*every[:2])["a"]["latency"] == pytest.approx(0.0214 / 2)
    assert figures(*every[:1])["a"]["latency"] == pytest.approx(0.0125 / 2)


def test_several_pings_count_by_their_replies(files: Path):
    write(files / "mac.txt", MACOS)
    found = figures("a=ping.txt", "a=mac.txt")["a"]
    # 3 replies of 12.4 ms and 2 of 25 ms; 1 of 4 and 1 of 3 packets lost.
    assert found["latency"] == pytest.approx((3 * 12.4 + 2 * 25) / 5 / 2 / 1000)
    assert found["loss"] == pytest.approx(2 / 7)


def test_loss_is_of_ping_and_mtr_alone():
    assert "loss" not in figures("a=up.json", "a=ookla.json")["a"]
    assert figures("a=up.json", "a=ping.txt", "a=mtr.json")["a"]["loss"] == pytest.approx(3 / 104)


def test_of_several_tests_the_median_is_taken(files: Path):
    for name, rate in (("a", 10e6), ("b", 80e6), ("c", 20e6)):
        write(files / f"{name}.json", iperf(rate, reverse=True))
    assert figures("x=a.json", "x=b.json", "x=c.json")["x"]["downlink"] == pytest.approx(20e6 / 8 * 1500 / 1448)


def test_rates_to_the_own_server_come_before_those_to_another():
    found = figures("a=cli.json", "a=up.json")["a"]
    assert found["uplink"] == pytest.approx(94.2e6 / 8 * 1500 / 1448)
    assert found["downlink"] == pytest.approx(93_251_742.5 / 8 * 1500 / 1448)


def test_headers_are_added_where_tcp_is_simulated_and_only_there():
    # A link with a transport carries packets, of which 1448 bytes of 1500 are payload; without, it carries payload.
    assert figures("a=cli.json")["a"]["uplink"] == 38_117_020.25 / 8
    assert figures("a=cli.json", "a=ping.txt")["a"]["uplink"] == pytest.approx(38_117_020.25 / 8 * 1500 / 1448)
    assert figures("a=cli.json", "a=lossless.txt")["a"]["uplink"] == 38_117_020.25 / 8


def test_a_loss_that_contradicts_a_test_is_told():
    # One packet of four: TCP would crawl, where the test had 94 Mbit/s. One of 10,000 it can have had.
    write(Path("many.txt"), MANY.replace("1000 packets transmitted, 1000", "10000 packets transmitted, 9999"))
    [doubted], [believed] = (import_links(["a=up.json", f"a={ping}"]).clients for ping in ("ping.txt", "many.txt"))
    assert "one connection gets" in doubted.notes[-1]
    assert not any("one connection gets" in note for note in believed.notes)


@pytest.mark.parametrize(("name", "known"), [("reno", "reno"), ("bbr", "bbr"), ("bbr2", "bbr"), ("vegas", None)])
def test_congestion_controls_that_are_modelled(files: Path, name: str, known: str | None):
    write(files / "a.json", iperf(20e6, control=name))
    assert figures("a.json")["a"].get("control") == known


def test_two_controls_of_one_client_are_told():
    write(Path("a.json"), iperf_both(20e6, 80e6))
    [client] = import_links(["a.json"]).clients
    assert client.control == "cubic"
    assert any("bbr beside cubic" in note for note in client.notes)


def test_a_trace_has_the_direction_that_it_is_given(files: Path):
    write(files / "lte", "".join(f"{time}\n" for time in range(1, 3001)))
    assert set(figures("a:down=lte")["a"]) == {"downlink"}
    assert set(figures("a:up=lte")["a"]) == {"uplink"}
    assert set(figures("a=lte")["a"]) == {"uplink"}
    (files / "lte").rename(files / "lte.down")
    assert set(figures("lte.down")["lte"]) == {"downlink"}
    with pytest.raises(ScenarioError, match="2 directions"):
        figures("a:down=cli.json")


def test_a_table_has_a_client_a_row(files: Path):
    write(files / "sites.csv", "name,uplink_mbit_s,count\nlyon,20,3\nporto,30,1\n")
    fleet = parasim.load({"model": "llama-3-8b", "fleet": import_links(["sites.csv", "lyon=ping.txt"]).fleet}).fleet
    assert [(group.name, group.count, group.uplink) for group in fleet] == [("lyon", 3, 2.5e6), ("porto", 1, 3.75e6)]
    assert fleet[0].latency == pytest.approx(0.0062)
    with pytest.raises(ScenarioError, match="about 2 clients"):
        import_links(["lyon=sites.csv"])


def test_what_is_written_is_simulated(files: Path):
    out = files / "fleet.yaml"
    imported = import_links(["berlin=up.json", "berlin=ping.txt", "berlin=cli.json", "lyon=ookla.json", "x=ping.txt"])
    assert imported.write(out) == [out]
    berlin, lyon, x = parasim.load(out).fleet
    assert berlin.uplink == pytest.approx(94.2e6 / 8 * 1500 / 1448, rel=1e-6)
    assert berlin.latency == pytest.approx(0.0062)
    assert berlin.transport is not None
    assert (berlin.transport.control, berlin.transport.loss) == ("cubic", 0.25)
    assert (lyon.uplink, lyon.downlink) == pytest.approx((13_206_885, 20_309_419), rel=1e-6)
    assert lyon.transport is None
    assert x.uplink == 100e6  # paraSim's default, and the file says that it is one
    text = out.read_text()
    assert "up.json: 94.2 Mbit/s at the receiver" in text
    assert "# uplink: not known" in text
    # Two rounds of 1 s: 100 MB go up twice and come down once between them, each after a latency.
    payload = {"payload": {"upload": "100MB"}, "compute": {"seconds": 1}, "method": "fedbcd", "rounds": 2}
    result = parasim.simulate(payload | {"fleet": imported.fleet[1:2]})
    seconds = 2 * (1 + 1e8 / 13_206_885) + 1e8 / 20_309_419 + 3 * 0.002864
    assert result.wall_clock == pytest.approx(seconds, rel=1e-5)


def test_seconds_are_followed(files: Path):
    write(files / "down.json", iperf(20e6, reverse=True, seconds=[8e6, 40e6, 12e6]))
    imported = import_links(["a:b/c=down.json", "a:b/c=cli.json"], trace=True)
    written = imported.write(files / "fleet.yml")
    assert [path.parent for path in written] == [files] * 2
    assert written[1].read_text().splitlines()[0] == CSV_HEAD
    [group] = parasim.load(files / "fleet.yml").fleet
    assert isinstance(group.downlink, Traced)
    assert mean_rate(group.downlink) == pytest.approx(2.5e6 * 1500 / 1448, rel=1e-6)
    assert isinstance(group.uplink, float)  # a speedtest has no seconds
    steps = imported.fleet[0]["downlink"]["steps"]
    assert [time for time, _ in steps] == [0.0, 1.0, 2.0]
    parasim.load({"model": "llama-3-8b", "fleet": imported.fleet})


@pytest.mark.parametrize("name", ["a: b # c", "- x", "no", "'\"\\", "ü 北京", "{a}", "1e3", "&a"])
def test_any_name_survives(files: Path, name: str):
    import_links([f"{name}=cli.json"]).write(files / "fleet.yaml")
    assert [group.name for group in parasim.load(files / "fleet.yaml").fleet] == [name]


def test_names_of_files_cannot_write_fields(files: Path):
    write(files / "x\nrounds: 1\n.json", SPEEDTEST_CLI)
    import_links(["x\nrounds: 1\n.json"]).write(files / "fleet.yaml")
    assert parasim.load(files / "fleet.yaml").rounds == 32


def test_a_fleet_that_was_imported_is_replaced_and_nothing_else(files: Path):
    out = files / "fleet.yaml"
    import_links(["cli.json"]).write(out)
    import_links(["ookla.json"]).write(out)
    out.write_text("rounds: 3\n")
    with pytest.raises(OutputError, match="not imported"):
        import_links(["cli.json"]).write(out)
    assert out.read_text() == "rounds: 3\n"
    with pytest.raises(OutputError, match="yaml"):
        import_links(["cli.json"]).write(files / "fleet.txt")


def test_what_cannot_be_written_leaves_nothing(files: Path):
    write(files / "down.json", iperf(20e6, reverse=True))
    (files / "fleet-b-uplink.csv").write_text("mine\n")
    before = sorted(files.iterdir())
    with pytest.raises(OutputError, match="not imported"):
        import_links(["a=down.json", "b=down.json"], trace=True).write(files / "fleet.yaml")
    assert sorted(files.iterdir()) == before


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "content",
    [
        "",
        " \n\n",
        "garbage " * 1_000_000,
        "\n" * 4_000_000,
        random.Random(0).randbytes(1_000_000),
        b"\0" * 1_000_000,
        DEEP,
        '{"a":' * 100_000,
        "[" + "0," * 1_000_000 + "0]",
        "{" + "x" * 20_000_000,
        "[1e999]",
        '{"start": {}, "intervals": 3, "end": {"sum_received": {"bits_per_second": 1e9}}}',
        '{"report": {"hubs": [{"Avg": -1, "Loss%": 200, "Snt": 0}]}}',
        '{"report": {"mtr": 3, "hubs": [1]}}',
        '{"event": [], "data": {}}',
        '{"type": "result", "download": [], "upload": null}',
        "=" * 1_000_000,
        "PING " * 1_000_000,
        "PING x: " + "1 a, " * 300_000,
        "= 1 ms, " * 500_000,
        ": = 5 ms" * 500_000,
        "1" * 1_000_000,
        "1\n" * 3 + "9" * 5000 + "\n",
        '"' * 1_000_001,
        "name,uplink\n" + "a," * 500_000,
        "uplink," * 200_000,
        "\x1b[31mping\x07",
        json.dumps(IPERF_REFUSED),
    ],
    ids=range(28),
)
def test_hostile_files_are_refused_in_one_line(files: Path, content: str | bytes):
    path = write(files / "x.json", content)
    with pytest.raises(ScenarioError) as refusal:
        import_links([path])
    message = str(refusal.value)
    assert "x.json" in message
    assert "\n" not in message
    assert message.isprintable()
    assert len(message) < 600


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("none.json", "none.json: no such file"),
        ("a=none.json", "none.json: no such file"),
        (".", "is a directory"),
        ("=cli.json", "no such file"),
        (" =cli.json", "name of a client"),
        ("a\nb=cli.json", "name of a client"),
    ],
)
def test_what_names_no_file(given: str, reason: str):
    with pytest.raises(ScenarioError, match=reason):
        import_links([given])


def test_nothing_is_no_fleet():
    with pytest.raises(ScenarioError, match="no files"):
        import_links([])


def test_what_is_constant_for_want_of_seconds_is_said():
    [client] = import_links(["cli.json"], trace=True).clients
    assert sum("stays at its mean" in note for note in client.notes) == 2
    assert not import_links(["cli.json"]).clients[0].notes


def test_the_examples_of_the_documentation(files: Path, monkeypatch: pytest.MonkeyPatch):
    root = Path(__file__).parents[3]
    documented = (root / "docs" / "how-to" / "import.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    monkeypatch.chdir(root / "examples" / "links")
    berlin = [f"berlin-{name}" for name in ("up.json", "down.json", "ping.txt")]
    import_links([*berlin, "lyon=lyon-speedtest.json", "offices.csv"]).write(files / "fleet.yaml")
    assert documented in (files / "fleet.yaml").read_text()
    fleet = parasim.load(files / "fleet.yaml").fleet
    assert [(group.name, group.count) for group in fleet] == [("berlin-7", 1), ("lyon", 1), ("porto", 4), ("turin", 2)]


def test_what_a_tool_prints_for_people_is_answered_with_its_option(files: Path):
    write(files / "x", "Connecting to host fl.example.org, port 5201\n[ ID] Interval           Transfer     Bitrate\n")
    with pytest.raises(ScenarioError, match=r"iperf3.*--json"):
        import_links(["x"])
