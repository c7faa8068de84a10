"""Generated scenarios: no exception but our own, no figure that is not finite, parts that add up, one schema for all.

`make test` runs 200 cases, `make validate` 5,000 (PARASIM_CASES). A case is told by its number: draw it again with
``Scenarios(number).scenario()``.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import parasim
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import Kind
from parasim_core.sim.errors import ParaSimError
from parasim_core.sim.scenario.reading import load
from parasim_core.sim.scenario.safe_parsing import parse_json, parse_yaml
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.yaml_reading import to_yaml
from tests.generated.draw import SCHEMA, Data, Scenarios

CASES = int(os.environ.get("PARASIM_CASES", "200"))
_AT_ONCE = 20
NUMBERS = [range(first, min(first + _AT_ONCE, CASES)) for first in range(0, CASES, _AT_ONCE)]
VALIDATOR = Draft202012Validator(SCHEMA)

each_case = pytest.mark.parametrize("numbers", NUMBERS, ids=[str(numbers.start) for numbers in NUMBERS])
"""Some cases at a time: a test for each would take longer to name than to run."""


def allowed_by_schema(data: Data) -> bool:
    return bool(VALIDATOR.is_valid(data))


def figures_of(data: Any) -> Iterable[float]:
    """All numbers at any depth."""
    if isinstance(data, dict):
        for value in data.values():
            yield from figures_of(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from figures_of(value)
    elif isinstance(data, int | float):
        yield data


def adds_up(result: Result) -> None:
    """Hold a run's figures against one another."""
    wall_clock = result.wall_clock
    slack = 1e-9 * max(wall_clock, 1.0)
    for account in result.accounts.values():
        # What a client does at a time is one of five things.
        parts = (account.compute, account.exposed, account.waiting, account.offline, account.failed)
        assert math.fsum(parts) == pytest.approx(wall_clock, abs=slack)
        assert min(parts) >= -slack
        assert -slack <= account.hidden <= account.compute + slack
        assert -slack <= account.stalled <= account.exposed + slack
    spans = result.timeline.spans
    assert all(0 <= span.start <= span.end <= wall_clock + slack for span in spans)
    assert max((span.end for span in spans), default=0.0) == wall_clock
    assert sum(result.counts.values()) <= result.scenario.clients
    figures = result.figures()
    groups = result.groups()
    assert sum(int(str(row["clients"])) for row in groups) == result.scenario.clients
    for name in ("compute_s", "exposed_communication_s", "hidden_communication_s", "waiting_s", "offline_s"):
        mean = math.fsum(float(str(row[name])) * int(str(row["clients"])) for row in groups) / result.scenario.clients
        assert mean == pytest.approx(figures[name], abs=slack), name
    messages = [span for span in spans if span.kind in (Kind.UPLOAD, Kind.DOWNLOAD)]
    for kind, figure in ((Kind.UPLOAD, "uploaded_bytes"), (Kind.DOWNLOAD, "downloaded_bytes")):
        # What aggregators of regions send is told apart.
        sent = math.fsum(span.size * result.counts.get(span.client, 0) for span in messages if span.kind is kind)
        assert sent == pytest.approx(figures[figure])
    for span in messages:
        assert math.fsum(span.spent) == pytest.approx(span.end - span.start, abs=slack)
        assert min(span.spent) >= -slack


def is_small(scenario: Scenario) -> bool:
    """Whether it takes seconds: what is odd may be a million clients."""
    return scenario.clients * scenario.rounds <= 10_000


def refused_well(error: ParaSimError) -> None:
    """A message is for people: a line or a few, none of them long, in our words."""
    lines = str(error).split("\n")
    assert len(lines) <= 7
    for line in lines:
        assert line.isprintable()
        assert len(line) <= 1000
        for foreign in ("Input should", "pydantic", "Traceback", "object at 0x", "validation error"):
            assert foreign not in line


@each_case
def test_right_scenarios(numbers: range):
    right = 0
    for number in numbers:
        data = Scenarios(number).scenario()
        assert allowed_by_schema(data), (number, [error.message for error in VALIDATOR.iter_errors(data)])
        try:
            result = parasim.simulate(data)
        except ParaSimError as error:
            refused_well(error)
            continue
        right += 1
        adds_up(result)
        summary = result.summary()
        assert all(map(math.isfinite, figures_of(summary))), number
        # Read again from what it is written as, whatever the format, it is the same scenario and the same run.
        written = result.scenario.model_dump(mode="json", exclude_unset=True)
        assert allowed_by_schema(written), number
        assert parse_yaml(to_yaml(written)) == parse_json(json.dumps(written)) == written, number
        assert Scenario.parse(written) == result.scenario, number
        assert parasim.simulate(written).summary() == summary, number
    # Most cases must be scenarios that run, or nothing above was tried.
    assert right >= 0.75 * len(numbers)


@each_case
def test_scenarios_that_are_wrong_in_one_place(numbers: range):
    refused = 0
    for number in numbers:
        drawn = Scenarios(number)
        data, path = drawn.wrong(drawn.scenario())
        try:
            scenario = load(data)
        except ParaSimError as error:
            refused_well(error)
            refused += 1
            continue
        # What we take, an editor that knows the schema takes as well.
        assert allowed_by_schema(data), (number, path, [error.message for error in VALIDATOR.iter_errors(data)])
        if not is_small(scenario):
            continue
        try:
            result = parasim.simulate(scenario)
        except ParaSimError as error:
            refused_well(error)
            continue
        adds_up(result)
        assert all(map(math.isfinite, figures_of(result.summary()))), (number, path)
    assert refused >= 0.3 * len(numbers)


@each_case
def test_overrides_that_are_wrong(numbers: range):
    """What may stand in a file may stand after ``--set``, and is refused as well."""
    refused = 0
    for number in numbers:
        drawn = Scenarios(number)
        right = drawn.scenario()
        wrong, path = drawn.wrong(right)
        value: Any = wrong
        for part in path:
            there = part in value if isinstance(value, dict) else part < len(value)
            value = value[part] if there else None
        field = ".".join(map(str, path))
        try:
            scenario = load(right, [(field, value), f"{field}={value}"])
            if is_small(scenario):
                parasim.simulate(scenario)
        except ParaSimError as error:
            refused_well(error)
            refused += 1
    assert refused >= 0.3 * len(numbers)


QUESTIONS: tuple[dict[str, Any], ...] = (
    {"hide_communication": True},
    *(
        {"within": "20min", "solve_for": quantity}
        for quantity in ("bandwidth", "rounds", "clients", "device-speed", "block-width", "batch-size", "server-egress")
    ),
    {"break_even": "parablock,fedbcd"},
    {"budget": "100USD"},
)


@each_case
def test_questions_about_a_scenario(numbers: range):
    """Plans and explanations of some of the cases: they take a hundred times as long as a run."""
    for number in numbers[:: len(numbers) // 2]:
        data = Scenarios(number).scenario()
        for question in (None, QUESTIONS[number // 10 % len(QUESTIONS)]):
            try:
                if question is None:
                    parasim.explain(data)
                else:
                    answers = parasim.plan(data, jobs=1, **question).answers
                    assert all(map(math.isfinite, figures_of([dataclasses.asdict(answer) for answer in answers])))
            except ParaSimError as error:
                refused_well(error)
