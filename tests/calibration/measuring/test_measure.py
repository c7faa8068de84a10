"""Measuring: rounds and budgets with a pretended clock, times by hand, and a real tiny model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.calibration.measuring import measure
from parasim_core.calibration.measuring.measure import (
    FEWEST_STEPS,
    Limits,
    Measurer,
    measure_all,
    random_batches,
    steps_per_visit,
    visit_of,
)
from parasim_core.calibration.measuring.measured_model import MeasuredModel
from parasim_core.calibration.measuring.step_memory_guard import needed_bytes
from parasim_core.calibration.measuring.stopwatch import Stopwatch
from parasim_core.calibration.profiles.measured_file import StepSample
from parasim_core.calibration.profiles.points import StepPoint, Visit
from parasim_core.sim.workload.methods import Trains
from parasim_core.train.models.out_of_memory import DeviceMemoryError
from parasim_core.train.update.local import TrainingError
from tests.calibration.synthetic import CONFIG


def step(batch_size: int) -> StepPoint:
    return StepPoint(trains=Trains.EVERYTHING, batch_size=batch_size, sequence_length=8)


def unknown(point: StepPoint) -> StepSample:
    return StepSample(point=point, role="fit")


def took(seconds: float) -> tuple[Visit, None]:
    return Visit(forward=seconds, head=0.0, backward=0.0, update=0.0), None


class Bench:
    """A machine whose visits take a second of a pretended clock each."""

    def __init__(self, *outcomes: Any):
        self.clock = 0.0
        self.visited: list[int] = []
        self.saved = 0
        self.samples: dict[StepPoint, StepSample] = {}
        self.left: list[float] = []
        self._outcomes: Iterator[Any] = iter(outcomes)

    def visit(self, point: StepPoint, known: StepSample) -> Any:
        self.clock += 1
        self.visited.append(point.batch_size)
        outcome = next(self._outcomes, took(1.0))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def save(self) -> None:
        self.saved += 1

    def run(self, points: int, limits: Limits) -> None:
        measure_all(
            {step(size): "fit" for size in range(1, points + 1)},
            self.samples,
            self.visit,
            limits,
            finished=self.save,
            progress=lambda visits, seconds_left, label: self.left.append(seconds_left),
            now=lambda: self.clock,
        )


def test_points_are_visited_in_turns_until_settled():
    bench = Bench()
    bench.run(3, Limits(100, fewest=2))
    assert bench.visited == [1, 2, 3, 1, 2, 3]
    assert bench.saved == 6
    assert all(sample.repeats == 2 for sample in bench.samples.values())


def test_a_large_spread_means_more_visits_but_not_for_ever():
    # Quartiles of 1, 2 are 1.25 and 1.75: a spread of a third. Then 1, 2, 1, 2 ... never settles.
    bench = Bench(*[took(float(1 + turn % 2)) for turn in range(20)])
    bench.run(1, Limits(100, fewest=2, most=5))
    assert bench.visited == [1] * 5
    assert bench.samples[step(1)].spread == pytest.approx(1 / 1)


def test_the_budget_ends_it_but_every_point_is_visited_once():
    bench = Bench()
    bench.run(5, Limits(2.5, fewest=2))
    assert bench.visited == [1, 2, 3, 4, 5]


def test_an_interrupted_run_goes_on_with_the_least_known():
    first, again = Bench(), Bench()
    first.run(2, Limits(1, fewest=2))
    again.samples = first.samples
    again.run(3, Limits(100, fewest=2))
    assert again.visited == [3, 1, 2, 3]


def test_what_does_not_fit_is_recorded_and_not_tried_again():
    bench = Bench(DeviceMemoryError("out of memory"))
    bench.run(2, Limits(100, fewest=2))
    assert bench.visited == [1, 2, 2]
    failed = bench.samples[step(1)]
    assert (failed.fits, failed.reason, failed.step_s) == (False, "out of memory", None)


def test_the_time_left_is_what_the_missing_visits_take():
    bench = Bench()
    bench.run(2, Limits(100, fewest=2))
    # 2 points x 2 visits of 1 s; nothing is known before the first one.
    assert bench.left == [100, 3, 2, 1]


def test_the_time_left_holds_what_must_be_visited_though_the_budget_is_over():
    bench = Bench()
    bench.run(5, Limits(2.5, fewest=2))
    # Of 2.5 s: 1.5 s are left after the first visit, but 4 points of 1 s each have not been visited.
    assert bench.left == [2.5, 4, 3, 2, 1]


def test_times_by_hand():
    # Steps begin at 10, 13, 15; layers take 1, head 0.25. The first backward takes 1.75, the second 0.75. From the
    # first begin to the last loss 6.25 s pass; of the trainer's 7.75 s, 1.5 s lie before and after: beyond two usual
    # backward passes the update took (1.75 - 0.75) + (1.5 - 0.75), which is 7.75 s less three steps of 2 s.
    marks = [10, 11, 11.25, 13, 14, 14.25, 15, 16, 16.25]
    assert visit_of(marks, 3, 7.75) == Visit(forward=1.0, head=0.25, backward=0.75, update=1.75)
    # Marks of a warm-up step before them change nothing.
    assert visit_of([0, 1, 2, *marks], 3, 7.75) == visit_of(marks, 3, 7.75)


def test_an_update_never_took_less_than_its_steps():
    assert visit_of([10, 11, 11.25, 13, 14, 14.25, 15, 16, 16.25], 3, 5.0).update == 0


def test_a_visits_seconds_are_those_of_the_trainer(subject: MeasuredModel, monkeypatch: pytest.MonkeyPatch):
    # The trainer says 1000 s, of which a few milliseconds are steps: the rest belongs to the update.
    real = measure.train_locally
    monkeypatch.setattr(
        measure, "train_locally", lambda *args, **options: replace(real(*args, **options), seconds=1000.0)
    )
    monkeypatch.setattr(measure, "_VISIT_SECONDS", 0.0)
    visit, _ = Measurer(subject, "wall-clock").visit(step(1), unknown(step(1)))
    assert visit.update > 500


@given(st.floats(1e-4, 100), st.integers(FEWEST_STEPS, 20), st.floats(0, 5))
def test_even_steps_add_up(backward: float, steps: int, update: float):
    marks = [
        moment for k in range(steps) for moment in (k * (3 + backward), k * (3 + backward) + 1, k * (3 + backward) + 3)
    ]
    visit = visit_of(marks, steps, steps * (3 + backward) + update)
    assert visit.step == pytest.approx(3 + backward, abs=1e-6)
    assert visit.update == pytest.approx(update, abs=1e-6)


@given(st.floats(1e-6, 1e4))
def test_short_steps_are_repeated_within_bounds(seconds: float):
    steps = steps_per_visit(seconds)
    assert steps >= FEWEST_STEPS
    assert steps == FEWEST_STEPS or (steps - 1) * seconds < 0.6


def test_gpu_moments_are_read_after_one_wait(monkeypatch: pytest.MonkeyPatch):
    happened: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool):
            assert enable_timing

        def record(self) -> None:
            self.at = len(happened)
            happened.append("record")

        def elapsed_time(self, later: Event) -> float:
            return 1000.0 * (later.at - self.at)  # CUDA's are milliseconds

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: happened.append("wait"))
    watch = Stopwatch("gpu-events")
    for _ in range(3):
        watch.mark()
    assert watch.seconds() == [0, 1, 2]
    assert happened == ["record"] * 3 + ["wait"]


def test_random_batches_look_like_the_trainers():
    batches = random_batches(50, (2, 3, 5))
    assert len(batches) == 2
    for batch in batches:
        assert {name: tuple(tensor.shape) for name, tensor in batch.items()} == {
            "input_ids": (3, 5),
            "attention_mask": (3, 5),
            "labels": (3, 5),
        }
        assert batch["input_ids"].max() < 50


@pytest.fixture
def subject(tmp_path: Any) -> MeasuredModel:
    import json

    torch.set_num_threads(1)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return MeasuredModel(str(tmp_path / "config.json"), torch.device("cpu"))


LORA = {"rank": 2, "targets": "q_proj+v_proj"}


@pytest.mark.parametrize(
    "point",
    [
        StepPoint(trains=Trains.BLOCK, batch_size=2, sequence_length=8, first_layer=3, layers=2),
        StepPoint(trains=Trains.BLOCK, batch_size=2, sequence_length=8, first_layer=3.5, layers=0.5),
        StepPoint(trains=Trains.LORA, batch_size=1, sequence_length=8, **LORA),
        StepPoint(trains=Trains.LORA_B, batch_size=1, sequence_length=8, **LORA),
        StepPoint(trains=Trains.EVERYTHING, batch_size=1, sequence_length=8),
    ],
    ids=StepPoint.label,
)
def test_real_steps_of_every_kind_are_timed(subject: MeasuredModel, point: StepPoint, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measure, "_VISIT_SECONDS", 0.0)
    before = {name: value.clone() for name, value in subject.model.state_dict().items()}
    visit, peak = Measurer(subject, "wall-clock").visit(point, unknown(point))
    assert min(visit.forward, visit.head, visit.backward) > 0
    assert peak is None
    after = subject.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_block_at_the_bottom_goes_back_through_more_layers(subject: MeasuredModel):
    # Which parameters get gradients, and that nothing below them is recorded, is the affair of
    # `train.models.blocks`; here the right part is chosen.
    point = StepPoint(trains=Trains.BLOCK, batch_size=1, sequence_length=8, first_layer=6, layers=2)
    with subject.part(point) as part:
        assert {name.split(".")[2] for name in part} == {"6", "7"}


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore"),
        RuntimeError("CUDA error: out of memory\nmore"),
        torch.AcceleratorError("CUDA error: out of memory\nmore"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`\nmore"),
    ],
    ids=repr,
)
def test_running_out_of_gpu_memory_twice_is_an_answer(
    subject: MeasuredModel, error: RuntimeError, monkeypatch: pytest.MonkeyPatch
):
    happened: list[str] = []

    def explode(*args: Any, **options: Any) -> Any:
        happened.append("tried")
        raise error

    monkeypatch.setattr(measure, "train_locally", explode)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: happened.append("emptied"))
    with pytest.raises(DeviceMemoryError) as lack:
        Measurer(subject, "wall-clock").visit(step(1), unknown(step(1)))
    assert str(lack.value) == str(error).partition("\n")[0]
    # Memory in too small pieces is enough once the cache is empty: a second failure is what settles a point.
    assert happened == ["tried", "emptied"] * 2


def test_what_fits_once_there_is_room_is_measured(subject: MeasuredModel, monkeypatch: pytest.MonkeyPatch):
    real, failures = measure.train_locally, iter([torch.OutOfMemoryError("CUDA out of memory")])

    def explode_once(*args: Any, **options: Any) -> Any:
        for failure in failures:
            raise failure
        return real(*args, **options)

    monkeypatch.setattr(measure, "train_locally", explode_once)
    monkeypatch.setattr(measure, "_VISIT_SECONDS", 0.0)
    visit, _ = Measurer(subject, "wall-clock").visit(step(1), unknown(step(1)))
    assert visit.step > 0


@pytest.mark.parametrize(
    "error",
    [
        TrainingError("diverged"),
        RuntimeError("CUDA error: device-side assert triggered"),
        # Where an assertion failed, even what is named after memory is something else.
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED after CUDA error: device-side assert triggered"),
    ],
    ids=repr,
)
def test_other_errors_are_not_taken_for_a_lack_of_memory(
    subject: MeasuredModel, error: Exception, monkeypatch: pytest.MonkeyPatch
):
    def explode(*args: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(measure, "train_locally", explode)
    with pytest.raises(type(error)):
        Measurer(subject, "wall-clock").visit(step(1), unknown(step(1)))


def test_a_step_beyond_the_free_memory_is_not_tried_on_a_cpu(subject: MeasuredModel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measure, "available_bytes", lambda: needed_bytes(subject.architecture, step(1)) - 1)
    with pytest.raises(DeviceMemoryError, match="needs about"):
        Measurer(subject, "wall-clock").visit(step(1), unknown(step(1)))


def test_gpu_memory_is_read_per_visit(subject: MeasuredModel, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: asked.append("reset"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: asked.append("read") or 12345)
    monkeypatch.setattr(measure, "steps_per_visit", lambda seconds: FEWEST_STEPS)
    model = subject.model
    monkeypatch.setattr(subject, "device", torch.device("cuda"))
    assert model is subject.model
    outcome = Measurer(subject, "wall-clock").visit(step(1), unknown(step(1)))
    assert outcome[1] == 12345
    assert asked == ["reset", "read"]
