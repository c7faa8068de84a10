"""What is said of clients' memory: of one run, in a table's cell, and of all its runs, what is alike merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import cast

from parasim_core.calibration.devices.device_memory import measured_file
from parasim_core.calibration.memory.fits import memory_sentences
from parasim_core.sim.engine.costs import Costs
from parasim_core.sim.engine.simulate import Setup

Labels = Mapping[str, str]

COLUMN = "memory"
"""Of a table of runs: what is said of each."""
_BETWEEN_SENTENCES = " | "
"""Not a line's end: an interrupted sweep's last whole line is known by it."""
_MOST_SAID = 6
_MOST_RUNS = 4


def memory_of(setup: Setup, costs: Costs) -> list[str]:
    """Say which clients lack the memory for their local update, and of which nobody knows.

    Parameters
    ----------
    setup : Setup
        The scenario and what follows from it.
    costs : Costs
        Its costs: those of a measured profile know their device's memory.
    """
    return memory_sentences(setup, measured_file(costs))


def memory_said(provenance: Mapping[str, object]) -> list[str]:
    """Read back what a run's provenance says of its clients' memory, a sentence each."""
    return list(cast("list[str]", provenance.get("memory", [])))


def cell(sentences: Sequence[str]) -> str:
    """Write what is said of a run as one cell of a table."""
    return _BETWEEN_SENTENCES.join(sentences)


def memory_of_rows(rows: Sequence[Labels], columns: Sequence[str]) -> list[str]:
    """Say once what the rows of a table say, and of which.

    Parameters
    ----------
    rows : sequence of mapping of str to str
        Cells by column.
    columns : sequence of str
        Those that tell the rows apart.
    """
    # Rows that an older version wrote have no such column.
    said = (row.get(COLUMN, "") for row in rows)
    labels = ({column: row[column] for column in columns} for row in rows)
    sentences = (text.split(_BETWEEN_SENTENCES) if text else [] for text in said)
    return merged(list(zip(labels, sentences, strict=True)))


def merged(runs: Sequence[tuple[Labels, Sequence[str]]]) -> list[str]:
    """Say once what is said of several runs, and of which.

    Parameters
    ----------
    runs : sequence of (mapping, sequence of str)
        Labels of each run, all with the same keys, and what is said of it.

    Returns
    -------
    list of str
        Without labels where it is said of all runs; cut off where there would be too many.
    """
    every = [labels for labels, _ in runs]
    told: dict[str, list[Labels]] = {}
    for labels, sentences in runs:
        for sentence in sentences:
            told.setdefault(sentence, []).append(labels)
    lines = [sentence for sentence, same in told.items() if same == every]
    lines += [f"{_which(same, every)}: {sentence}" for sentence, same in told.items() if same != every]
    more = len(lines) - _MOST_SAID
    return [*lines[:_MOST_SAID], f"Of memory, {more:,} more such lines are left out here."] if more > 0 else lines


def _which(some: Sequence[Labels], every: Sequence[Labels]) -> str:
    """Name runs: by the values that they have in each column, or one by one where not every combination is there."""
    columns = [column for column in every[0] if len({labels[column] for labels in every}) > 1]
    values = {column: list(dict.fromkeys(labels[column] for labels in some)) for column in columns}
    if prod(map(len, values.values())) == len(some):
        own = {column: found for column, found in values.items() if len(found) < len({row[column] for row in every})}
        return "; ".join(f"{column.replace('_', ' ')} {', '.join(found)}" for column, found in own.items())
    named = ["/".join(labels[column] for column in columns) for labels in some]
    more = len(named) - _MOST_RUNS
    return ", ".join(named[:_MOST_RUNS]) + (f" and {more:,} more runs" if more > 0 else "")
