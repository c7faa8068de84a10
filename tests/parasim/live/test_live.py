"""Whole runs, with agents as processes of their own."""

import csv
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("grpc")

import parasim
from parasim.live.comparison import LiveRow, compare_live, ranked, summary
from parasim.live.conductor import Live, live
from parasim.outputs.lives import leave_live
from parasim_core.sim.errors import ScenarioError

TWO = {
    "rounds": 2,
    "compute": {"seconds": [0.05, 0.15]},
    "payload": {"upload": "200kB"},
    "fleet": [{"count": 2, "uplink": "2MB/s", "downlink": "4MB/s", "latency": "5ms"}],
}


@pytest.mark.parametrize("method", ["parablock", "fedcybgd"])
def test_a_dry_run_does_what_a_simulation_does(method: str, tmp_path: Path) -> None:
    run = live(TWO, {"method": method}, out=tmp_path, dry=True).result
    simulated = parasim.simulate(TWO, {"method": method})
    key = lambda span: (span.client, span.round, span.kind, span.size, span.blocks)  # noqa: E731
    assert sorted(map(key, run.timeline.spans)) == sorted(map(key, simulated.timeline.spans))
    # A real run has overheads, and is never faster than its links and its sleeps, but for the clock's grain.
    assert run.wall_clock > 0.98 * simulated.wall_clock
    assert run.provenance["network"]["origin"] == "measured"
    leave_live(Live(run), tmp_path / "out")
    assert {"timeline.csv", "result.json", "gantt.png"} <= {path.name for path in (tmp_path / "out").iterdir()}


TRAINED = {
    "method": "parablock",
    "rounds": 3,
    "fleet": [{"count": 2, "uplink": "5MB/s"}],
    "blocks": {"layers": 1},
    "local": {"steps": 1, "batch_size": 4},
    "train": {"data": {"source": "digits"}, "learning_rate": 3e-3, "evaluation": {"every": 1}},
}
QUANTIZED = {"wire.upload.bits": 4, "wire.download.bits": 8, "train.error_feedback": True}
# The rest by `make test-live`: each starts agents that import PyTorch.
VARIANTS = [QUANTIZED]
if os.environ.get("PARASIM_LIVE"):
    VARIANTS += [
        {"method": "fedbcd", "wire.upload.top_k": 0.1, "train.error_feedback": True},
        {"method": {"name": "parablock", "staleness": 2}, "rounds": 5},
        {"method": "fedcybgd", "rounds": 5},
        {"method": "full-ft", "wire.precision": "float32"},
        {"method": "fedit", "train.data.source": "word-problems", "train.pretraining.steps": 3},
        {"participation.fraction": 0.5, "rounds": 6},
        {"blocks.schedule": "bandit", "rounds": 5},
    ]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_model_is_bit_for_bit_what_the_trainer_gives(variant: dict, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    from parasim.training import train

    environment = dict(os.environ)
    os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    try:
        run = live(TRAINED, variant, out=tmp_path / "live")
    finally:
        os.environ.clear()
        os.environ.update(environment)
    assert run.trained is not None
    run.trained.save_model(tmp_path / "model")
    trained = train(TRAINED, variant, out=tmp_path / "trained")
    ours, theirs = (
        load_file(path / "model.safetensors") for path in (tmp_path / "model", next(tmp_path.glob("trained/*/model")))
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    columns = ("round", "train_loss", "eval_loss", "accuracy")
    assert [[row[c] for c in columns] for row in run.trained.metrics] == [
        [row[c] for c in columns] for row in trained.metrics
    ]


def test_settings_are_predicted_and_ranked(tmp_path: Path) -> None:
    grid = [(("payload.upload",), ("100kB", "800kB"))]
    rows = compare_live(TWO, {"method": "fedbcd"}, grid=grid, out=tmp_path, dry=True)
    assert [row.setting for row in rows] == ["100kB", "800kB"]
    # 2 rounds of 2 clients: computing, uploading, and the second round's download.
    assert [row.spans for row in rows] == [12, 12]
    assert all(row.measured_s > 0.98 * row.predicted_s for row in rows)
    assert summary(rows)["pairs"] == summary(rows)["ranked_right"] == 1


def test_errors_and_ranks_are_what_they_say() -> None:
    one = LiveRow("a", 10.0, 10.2, 9.9, 9.9, 10.1, 5, 0.01, 0.02)
    other = LiveRow("b", 11.0, 11.0, None, 9.0, 9.0, 5, 0.01, 0.02)
    assert one.noise == pytest.approx(0.2 / 10.1)
    # -1 % and -0.98 %.
    assert one.error == pytest.approx(-(0.1 / 10 + 0.1 / 10.2) / 2)
    assert one.blind_error == pytest.approx(9.9 / 10.1 - 1)
    assert other.blind_error is None
    # 11 s was longer and is predicted to be shorter.
    assert list(ranked([one, other])) == [False]
    assert not summary([one, other])["met"]


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("fleet.0.duplex", "half", "fleet.0.duplex"),
        ("fleet.0.dropout.rate", 0.5, "failures"),
        ("fleet.0.transport.control", "cubic", "fleet.0.transport"),
    ],
)
def test_what_does_not_run_live_is_refused(field: str, value: object, named: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=named):
        live(TWO, {field: value}, out=tmp_path, dry=True)


def test_an_agent_per_client(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="--agents: are 1, and the scenario has 2 clients"):
        live(TWO, out=tmp_path, dry=True, agents=["127.0.0.1:1"])


class Killer(threading.Thread):
    """Kills agents of this process with SIGKILL, at times that are drawn."""

    def __init__(self, seed: int, kills: int, within: float, after: Callable[[], bool] = lambda: True):
        super().__init__(daemon=True)
        self._after = after
        self._draws = random.Random(seed)
        self._kills, self._within = kills, within
        self.killed = 0

    def run(self) -> None:
        _children(os.getpid(), until=2)
        while not self._after():
            time.sleep(0.02)
        for _ in range(self._kills):
            time.sleep(self._draws.uniform(0, self._within))
            if agents := _children(os.getpid(), until=0):
                with suppress(ProcessLookupError):
                    os.kill(self._draws.choice(agents), signal.SIGKILL)
                    self.killed += 1


def test_agents_that_are_killed_come_back(tmp_path: Path) -> None:
    def both_are_greeted() -> bool:
        return all("sleeps" in _read(tmp_path / "agents" / f"{number}" / "log.txt") for number in range(2))

    killer = Killer(seed=1, kills=1, within=1.0, after=both_are_greeted)
    killer.start()
    run = live(TWO, {"compute.seconds": 1.0}, out=tmp_path, dry=True).result
    assert killer.killed == 1
    assert run.provenance["lost_agents"] >= 1
    assert run.wall_clock > 2.0


KILLED = range(20) if os.environ.get("PARASIM_LIVE") else ()


@pytest.mark.parametrize("seed", KILLED)
def test_kills_in_any_phase_change_nothing_of_the_model(seed: int, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    models = []
    # Links so slow that messages take most of the time.
    slow = {"fleet.0.uplink": "100kB/s", "rounds": 4, **QUANTIZED}
    for kills in (0, 3):
        killer = Killer(seed, kills, within=4.0)
        killer.start()
        run = live(TRAINED, slow, out=tmp_path / f"{kills}")
        killer.join()
        assert run.trained is not None
        run.trained.save_model(tmp_path / f"model-{kills}")
        models.append(load_file(tmp_path / f"model-{kills}" / "model.safetensors"))
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def _children(parent: int, until: int) -> list[int]:
    for _ in range(600):
        found = [
            int(status.parent.name)
            for status in Path("/proc").glob("[0-9]*/status")
            if f"\nPPid:\t{parent}\n" in _read(status) and "--listen" in _read(status.with_name("cmdline"))
        ]
        if len(found) >= until:
            return sorted(found)
        time.sleep(0.05)
    raise AssertionError("no agents were started")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_the_command_prints_and_writes(tmp_path: Path) -> None:
    scenario = tmp_path / "two.yaml"
    scenario.write_text(
        "rounds: 1\ncompute: {seconds: 0.05}\npayload: {upload: 100kB}\nfleet: [{count: 2, uplink: 2MB/s}]\n"
    )
    command = [sys.executable, "-m", "parasim", "live", str(scenario), "--dry", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "slept as long as is predicted" in done.stdout.replace("\n", " ")
    with (tmp_path / "out" / "timeline.csv").open() as file:
        assert {row["kind"] for row in csv.DictReader(file)} == {"compute", "upload", "aggregate"}


def test_a_training_needs_no_computing_times_and_follows_traces(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    # Rates by second, beside the scenario: where it is named from there.
    (tmp_path / "mine.csv").write_text("seconds,up_mbit_s\n0,40\n1,80\n2,40\n")
    (tmp_path / "two.yaml").write_text(
        "model: demo\nrounds: 1\nlocal: {steps: 1, batch_size: 4}\ntrain: {data: {source: digits}}\n"
        "fleet: [{count: 2, uplink: {trace: mine.csv}}]\n"
    )
    command = [sys.executable, "-m", "parasim", "live", "two.yaml", "--out", "out"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=tmp_path, timeout=300)
    # No profile knows how long the demonstration's model takes, and none is asked.
    assert done.returncode == 0, done.stderr
    assert "Held-out loss" in done.stdout
    assert (tmp_path / "out" / "model" / "model.safetensors").exists()
