"""Loggers are told every round once, whatever happens to the training; with stand-ins, and with the libraries."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from parasim.loggers import logbook as logbook_module
from parasim.training import train
from parasim_core.train.runs.metrics import MetricsRow
from tests.parasim.command_line import refused, run
from tests.parasim.loggers.fakes import FOLDER, install, lines

LOG = ("tensorboard", "wandb", "mlflow")
VALUES = ("train_loss", "eval_loss", "accuracy", "uploaded_bytes", "downloaded_bytes")
Told = dict[tuple[int, str], tuple[float, float]]
"""By step and name, the value and the simulated time [ms]."""


class Interrupted(Exception):  # noqa: N818 - an interruption is no error
    """Stands for whatever ends a process."""


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


def told(out: Path, logger: str, method: str) -> Told:
    """What a stand-in was told of a method, each value once."""
    found = lines(out / logger / method / FOLDER)
    assert len({(step, name) for step, name, *_ in found}) == len(found)
    return {(step, name): (value, moment) for step, name, value, moment in found}


def expected(metrics: list[MetricsRow], method: str, base: Any) -> Told:
    rows: list[dict[str, Any]] = [{"round": -1, "simulated_s": 0.0} | dict(base)]
    rows += [row for row in metrics if row["method"] == method]
    return {
        (row["round"] + 1, name): (row[name], pytest.approx(row["simulated_s"] * 1000, abs=0.51))
        for row in rows
        for name in VALUES
        if row.get(name) is not None
    }


def stop_after(count: int) -> Any:
    calls = 0

    def report(what: str, done: int, total: int) -> None:
        nonlocal calls
        calls += what.startswith("training")
        if calls == count:
            raise Interrupted

    return report


@pytest.mark.usefixtures("faked")
@pytest.mark.parametrize("every", [1, 2])
def test_an_interrupted_training_logs_every_round_once(every: int, small_training: Path, tmp_path: Path):
    def attempt(rounds: int, **more: Any) -> Any:
        overrides = [f"rounds={rounds}", f"train.checkpoint_every={every}"]
        methods = ["fedit", "parablock"]
        return train(small_training, method=methods, set=overrides, out=tmp_path, clock="profile", log=LOG, **more)

    for count in (2, 3, 2):
        with pytest.raises(Interrupted):
            attempt(4, report=stop_after(count))
    for rounds in (4, 4, 6):
        ended = attempt(rounds)
    for logger in LOG:
        for method in ("fedit", "parablock"):
            found = told(tmp_path, logger, method)
            wanted = expected(ended.metrics, method, ended.base)
            # The last round of the run when it was to be shorter had an accuracy, and may have kept it.
            assert {key: value for key, value in found.items() if key[1] != "accuracy" or key in wanted} == wanted
            assert {step for step, _ in found} == set(range(7))
    assert len(set(map(str, lines(tmp_path / "wandb" / "fedit" / f"{FOLDER}.id")))) == 1
    # The scenario is the run's configuration, and nobody is left with an open run.
    assert lines(tmp_path / "wandb" / "fedit" / f"{FOLDER}.config")[0]["method"]["name"] == "fedit"
    assert "    model: demo" in lines(tmp_path / "tensorboard" / "fedit" / f"{FOLDER}.config")[0]
    assert ["rounds", "4"] in lines(tmp_path / "mlflow" / "fedit" / f"{FOLDER}.config")


@pytest.mark.usefixtures("faked")
def test_a_logger_that_comes_later_is_told_everything(small_training: Path, tmp_path: Path):
    for log in ((), ("mlflow",), ("mlflow", "wandb")):
        ended = train(small_training, method=["fedit"], out=tmp_path, clock="profile", log=log)
        for logger in log:
            assert told(tmp_path, logger, "fedit") == expected(ended.metrics, "fedit", ended.base)
    assert [note for note in ended.notes if note.startswith("Logged: wandb sync")]


def test_without_its_extra_it_is_one_line_before_anything_is_trained(
    small_training: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(logbook_module, "find_spec", lambda name: None)
    for name in LOG:
        message = refused("train", small_training, "--log", name, "--out", tmp_path / "out")
        assert message.startswith(f"--log {name} needs the extra '{name}': pip install ")
    assert "did you mean 'wandb'?" in refused("train", small_training, "--log", "wandbs", "--out", tmp_path / "out")
    assert "is named twice" in refused("train", small_training, "--log", "mlflow,mlflow", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_record_is_named(small_training: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch)
    arguments = ("train", small_training, "--method", "fedit", "--clock", "profile", "--out", tmp_path)
    assert run(*arguments, "--log", "mlflow").status == 0
    for text in ("{", "[]", '{"mlflow": {"steps": "1", "run": ""}}'):
        (tmp_path / "fedit" / "logged.json").write_text(text)
        assert "logged.json: is damaged" in refused(*arguments, "--log", "mlflow")


def test_tensorboard_itself(small_training: Path, tmp_path: Path):
    pytest.importorskip("tensorboard")
    ended = twice(small_training, tmp_path, "tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(tmp_path / "tensorboard" / "fedit"))
    found.Reload()
    losses = [(event.step, event.wall_time, event.value) for event in found.Scalars("eval_loss")]
    rows = [(0, 0.0, ended.base["eval_loss"])]
    rows += [(row["round"] + 1, row["simulated_s"], row["eval_loss"]) for row in ended.metrics]
    assert losses == [(step, seconds, pytest.approx(loss, rel=1e-6)) for step, seconds, loss in rows]
    assert "scenario/text_summary" in found.Tags()["tensors"]


def test_mlflow_itself(small_training: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    ended = twice(small_training, tmp_path, "mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'paraSim'")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.status, found.data.params["method.name"]) == ("FINISHED", "fedit")
    history = client.get_metric_history(found.info.run_id, "eval_loss")
    losses = {metric.step: metric.value for metric in history}
    assert len(losses) == len(history)
    assert losses == {0: ended.base["eval_loss"]} | {row["round"] + 1: row["eval_loss"] for row in ended.metrics}


def test_wandb_itself_offline(small_training: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    ended = twice(small_training, tmp_path, "wandb")
    files = sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    # Two processes wrote of one run.
    assert len({file.stem for file in files}) == 1
    losses = [(int(row["rounds"]), row["eval_loss"]) for file in files for row in history(file)]
    rows = [(0, ended.base["eval_loss"])] + [(row["round"] + 1, row["eval_loss"]) for row in ended.metrics]
    assert losses == [(step, pytest.approx(loss)) for step, loss in rows]


def history(file: Path) -> list[dict[str, float]]:
    """What a file of Weights & Biases holds of each step.

    It is a log of blocks of 32 KiB; each piece of a record has its checksum (4 bytes), its length (2), and whether it
    is whole, the first, one in the middle, or the last (1).
    """
    from wandb.proto import wandb_internal_pb2

    content, place, data, found = file.read_bytes(), 7, b"", []
    while place + 7 <= len(content):
        length, kind = struct.unpack_from("<HB", content, place + 4)
        data += content[place + 7 : place + 7 + length]
        place += 7 + length
        if (left := -place % 32768) < 7:
            place += left
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            data = b""
            if record.HasField("history"):
                items = record.history.item
                found.append({item.key or item.nested_key[0]: json.loads(item.value_json) for item in items})
    return found


def twice(small_training: Path, out: Path, logger: str) -> Any:
    """Train until after the first round, and go on."""
    told: dict[str, Any] = {"method": ["fedit"], "out": out, "clock": "profile", "log": [logger]}
    with pytest.raises(Interrupted):
        train(small_training, report=stop_after(2), **told)
    for name in [name for name in sys.modules if name.startswith("parasim.loggers.to_")]:
        del sys.modules[name]
    return train(small_training, **told)
