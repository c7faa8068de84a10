"""The notebooks run from a clean kernel, are kept without outputs, and point to files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NAMES = ("fifty-sites", "own-method", "paper")
_LONGEST_CELL = 120
"""What runs longer does not belong into a tutorial [s]."""


@pytest.fixture(params=NAMES)
def notebook(request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{request.param}.ipynb", as_version=4)


def test_these_are_all():
    assert sorted(path.stem for path in FOLDER.iterdir() if path.suffix == ".ipynb") == list(NAMES)


def test_it_runs_from_a_clean_kernel(notebook: nbformat.NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    # Kept apart from the settings of whoever runs the tests.
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    there_before = sorted(FOLDER.iterdir())
    client = NotebookClient(notebook, timeout=_LONGEST_CELL, resources={"metadata": {"path": str(FOLDER)}})
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert sorted(FOLDER.iterdir()) == there_before


def test_it_is_kept_without_outputs(notebook: nbformat.NotebookNode):
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.metadata
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


def test_its_links_lead_somewhere(notebook: nbformat.NotebookNode):
    text = "\n".join(cell.source for cell in notebook.cells)
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", text) + re.findall(r'"(\.\./[^"]+)"', text)
    assert targets
    assert [target for target in targets if not (FOLDER / target).exists()] == []
