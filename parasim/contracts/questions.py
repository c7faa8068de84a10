"""Shapes of what `paraSim sweep`, `paraSim plan` and `paraSim memory` say of many runs."""

from __future__ import annotations

from typing import Any

from parasim.contracts.shapes import Loose, OfScenario
from parasim_core.sim.scenario.fields import Section


class SweptAxis(Section):
    """One swept quantity."""

    column: str
    """Its column in the rows."""
    values: list[str]
    """What it takes, as written; one for a column that only tells what the scenario says."""
    fields: list[str]
    """Fields of the scenario that it sets."""


class SweptRow(Loose):
    """A run: a column for each axis, and its figures. Numbers are numbers."""

    wall_clock_s: float
    """From the start to the last aggregation [s]."""
    compute_s: float
    """Of the mean client [s], like the next ones."""
    exposed_communication_s: float
    hidden_communication_s: float
    stalled_communication_s: float
    waiting_s: float
    offline_s: float
    uploaded_bytes: float
    """By all clients [B]."""
    downloaded_bytes: float
    """By all clients [B]."""
    rounds: int
    clients: int
    compute_origin: str
    """Where its computing times are from."""
    memory: str
    """What is said of clients' memory; empty if nothing."""


class SweepResult(OfScenario):
    """What `paraSim sweep --format json` prints; `scenario` is that of the first row."""

    swept: list[SweptAxis]
    """The last one changes fastest."""
    rows: list[SweptRow]
    sets: list[dict[str, Any]]
    """For each row, the fields in which its scenario differs from `scenario`, with their values; null for one that it
    does not give."""
    notes: list[str]
    """For people, a sentence each."""


class Check(Section):
    """An event simulation at an answer, or just beside it."""

    value: float
    """Of the quantity that was asked for, in base units; for a sensitivity, of the input that was moved."""
    wall_clock_s: float
    """[s]."""
    holds: bool
    """Whether that is what was asked for."""


class PlanAnswer(Section):
    """The answer for one method, pair of methods, or point of a front."""

    method: str
    feasible: bool
    """Whether something does what was asked for: not where nothing does, and not where nothing is needed."""
    value: float | None
    """In base units; null if not feasible, or if any value does. For a sensitivity, the swing of the wall-clock."""
    unit: str
    """`B/s`, `s`, `USD`, or empty for a number."""
    wall_clock_s: float | None
    """At the answer [s]; null if the question has none."""
    because: str
    """For people."""
    checked: list[Check]
    more: dict[str, Any]
    """What else belongs to an answer of this kind of question: a curve, a share, a cost."""


class PlanResult(OfScenario):
    """What `paraSim plan --format json` prints, and `plan.json` holds."""

    asked: dict[str, Any]
    """Options that ask the question, as the command takes them."""
    question: str
    """For people."""
    answers: list[PlanAnswer]
    notes: list[str]
    """For people, a sentence each."""
    provenance: dict[str, str]
    """Where the numbers are from, by method."""
    within_s: float | None = None
    """From the start of the run to the deadline [s], where there is one."""
    starts: str | None = None
    """When the run starts (ISO 8601), where the scenario gives `start`, or the deadline is a time of the calendar."""


class Need(Section):
    """What one method's local update needs."""

    method: str
    precision: str
    """Type of the base weights."""
    peak_bytes: int
    """With activations kept for the backward pass [B]."""
    by_category: dict[str, int]
    """What is there at that peak [B]."""
    recomputed_peak_bytes: int
    """With activations recomputed [B]."""
    in_flight_bytes: int
    """Beside that, of updates and aggregates on their way [B]."""
    paged_bytes: int
    """What of these peaks moves to the host's memory where the device's is full [B]."""
    gpus: int
    """GPUs that a client has; peaks are of each."""


class Fit(Section):
    """Which methods fit a device."""

    device: str
    memory_bytes: float
    """What it has [B]."""
    precision: str
    """Type that it holds the base weights in."""
    groups: list[str]
    """Groups of the fleet that have it."""
    gpus: int
    """How many such devices a client has."""
    fits: list[str]
    """Methods that fit as they are."""
    fits_recomputing: list[str]
    """Methods that fit if activations are recomputed."""
    does_not_fit: list[str]


class MemoryResult(OfScenario):
    """What `paraSim memory --format json` prints."""

    model: str | None
    batch_size: int
    sequence_length: int
    """[tokens]."""
    accumulation: int
    """Batches in a step."""
    recipe: dict[str, str]
    """How steps are trained, in words, by the precision of the base weights."""
    priced: list[str]
    """What of that is priced and not traced."""
    needs: list[Need]
    devices: list[Fit]
    unknown_devices: list[str]
    """Devices of the fleet that nobody knows the memory of."""
    refused: dict[str, str]
    """Of all methods, those that cannot run the scenario, and why."""
    notes: list[str]
    """For people, a sentence each."""
