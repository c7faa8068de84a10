"""The paper's runtimes: the shipped profile is the fit, and the predictions stay as close as they are."""

from __future__ import annotations

import pytest

from parasim_core.calibration.paper.cells import cells, fitted_runs, paper_setting
from parasim_core.calibration.paper.reproduce import Reproduction, reproduce
from parasim_core.sim.scenario.reading import load
from parasim_core.sim.scenario.scenario import Scenario


@pytest.fixture(scope="module")
def reproduction() -> Reproduction:
    return reproduce()


def test_every_runtime_cell_is_there(reproduction: Reproduction):
    assert len(reproduction.comparisons) == len(cells()) == 67


def test_few_cells_are_fitted():
    # 6 FedBCD, 3 FedIT, and one each for o, the width, full fine-tuning, FLoRA's merge and FedCyBGD's downloads.
    assert len(fitted_runs()) == 14


def test_fitted_cells_take_the_reported_time(reproduction: Reproduction):
    for cell in reproduction.comparisons:
        # FedCyBGD's cell fixes a share of whole blocks, which cannot meet it exactly.
        if cell.role == "fitted" and cell.cell.method != "fedcybgd":
            assert cell.error_pct == pytest.approx(0, abs=1e-4)


def test_block_methods_are_predicted_within_the_stated_error(reproduction: Reproduction):
    summary = reproduction.summaries["predicted, block methods"]
    assert summary.cells == 21
    assert summary.mean_pct <= 0.9
    assert summary.max_pct <= 3.2


def test_partial_participation_is_predicted_within_two_percent(reproduction: Reproduction):
    partial = [c for c in reproduction.comparisons if c.cell.table == "cross-silo" and c.cell.method == "parablock"]
    assert len(partial) == 2
    assert all(abs(c.error_pct) <= 2 for c in partial)
    assert {c.role for c in partial} == {"predicted"}


def test_the_same_run_has_the_same_role_in_every_table(reproduction: Reproduction):
    roles: dict[tuple[object, ...], set[str]] = {}
    for comparison in reproduction.comparisons:
        roles.setdefault(comparison.cell.run, set()).add(comparison.role)
    assert all(len(found) == 1 for found in roles.values())
    assert sum(s.cells for s in reproduction.summaries.values()) == len(roles)


def test_the_example_is_the_papers_setting():
    assert load("examples/paper.yaml") == Scenario.parse(paper_setting("llama-3-8b"))
