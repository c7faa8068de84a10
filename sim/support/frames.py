"""Rows as a DataFrame of numbers, whose units stand in its attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_UNITS = {"_s": "s", "bytes": "B"}
"""Unit of a column by how its name ends."""


def frame(
    rows: Iterable[Mapping[str, Any]], columns: Iterable[str] | None = None, units: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Make a DataFrame.

    Parameters
    ----------
    rows : iterable of mapping
        Its rows.
    columns : iterable of str, optional
        Its columns; those of the rows if None.
    units : mapping of str to str, optional
        Units of columns whose names do not tell: ``wall_clock_s`` and ``uploaded_bytes`` do.

    Returns
    -------
    DataFrame
        With ``attrs["units"]``: the unit of every column that has one.
    """
    import pandas as pd

    made = pd.DataFrame([*rows], columns=None if columns is None else [*columns])
    told = {name: unit for name in map(str, made.columns) for end, unit in _UNITS.items() if name.endswith(end)}
    made.attrs["units"] = told | dict(units or {})
    return made
