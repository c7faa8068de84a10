"""What every planning question is answered with: per method a value, a reason, and the simulations that check it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from parasim.figures.look import USUAL, Look
from parasim.figures.picture import Picture, picture
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.frames import frame

if TYPE_CHECKING:
    import pandas as pd

    from parasim.deadlines import Within


class Draw(Protocol):
    """Draws the picture of an answer."""

    def __call__(self, directory: Path, look: Look = USUAL) -> Sequence[Path]:
        """Write its files into a directory, and return them."""


@dataclass(frozen=True)
class Check:
    """An event simulation at an answer, or just beside it.

    Attributes
    ----------
    value : float
        Of the quantity that was asked for, in base units. For a sensitivity: of the input that was moved.
    wall_clock_s : float
        What the event simulation says [s].
    holds : bool
        Whether that is what was asked for.
    """

    value: float
    wall_clock_s: float
    holds: bool


@dataclass(frozen=True)
class Answer:
    """One method's answer.

    Attributes
    ----------
    method : str
        Name of the method, or of the pair of methods that are compared.
    feasible : bool
        Whether something does what was asked for: not where nothing does, and not where nothing is needed.
    value : float or None
        In base units (`unit`); None if not feasible, or if any value does, as it means nothing to the method.
        For a sensitivity: the swing of the wall-clock.
    unit : str
        ``B/s``, ``s``, ``USD``, or empty for a number.
    wall_clock_s : float or None
        At the answer, event-simulated [s]; None if the question has none.
    because : str
        The reason, in words: what limits, or what stands in the way.
    checked : sequence of Check
        Simulations at the answer and just beside it.
    more : mapping
        What else belongs to this answer (a curve, a share, a cost), as JSON can hold it.
    row : sequence of str
        What stands under the columns of the table, ready to be read.
    """

    method: str
    feasible: bool
    value: float | None
    unit: str
    wall_clock_s: float | None
    because: str
    checked: Sequence[Check] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    row: Sequence[str] = ()


@dataclass(frozen=True, repr=False)
class Plan:
    """A question with its answers.

    Attributes
    ----------
    scenario : Scenario
        What was planned for.
    question : str
        As the user would say it, with units.
    answers : sequence of Answer
        One per method, or per pair, or per point of a front.
    columns : sequence of str
        Headings of the table; a first column ``method`` and a last one ``because`` are always there besides.
    notes : sequence of str
        Lines below the table: how it was checked, what was assumed.
    provenance : mapping of str to str
        Origin of the numbers, as in `Result.provenance`.
    draw : callable, optional
        Draws the picture into a directory and returns the files.
    within : Within, optional
        The deadline that was asked about.
    starts : datetime, optional
        When the run starts, where the calendar matters.
    asked : mapping
        What was asked, by the names of the options of `paraSim plan`.
    files : sequence of Path
        What was written of it, if it has a folder.
    """

    scenario: Scenario
    question: str
    answers: Sequence[Answer]
    columns: Sequence[str]
    notes: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    draw: Draw | None = None
    within: Within | None = None
    starts: datetime | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[Path] = ()

    @property
    def missed(self) -> bool:
        """Whether there is a deadline, and nothing that was asked about meets it."""
        return self.within is not None and not any(answer.feasible for answer in self.answers)

    @property
    def table(self) -> list[tuple[str, ...]]:
        """Rows as they are printed: the method, what stands under `columns`, and the reason."""
        return [(answer.method, *answer.row, answer.because) for answer in self.answers]

    def summary(self) -> dict[str, Any]:
        """Return what `paraSim plan --format json` prints, in base units."""
        return {
            "question": self.question,
            "answers": [{key: v for key, v in asdict(answer).items() if key != "row"} for answer in self.answers],
            "notes": list(self.notes),
            "provenance": dict(self.provenance),
            **({"within_s": self.within.seconds} if self.within is not None else {}),
            **({"starts": self.starts.isoformat()} if self.starts is not None else {}),
        }

    def __repr__(self) -> str:
        """Show the answers as a data frame does."""
        return repr(self.to_dataframe())

    def to_dataframe(self) -> pd.DataFrame:
        """Return a row per answer as numbers in base units, the reason in the last column.

        Numbers of `Answer.more` are among them. ``attrs["units"]`` has the units; that of the values if they have one.
        """
        rows = [
            {
                "method": one.method,
                "feasible": one.feasible,
                "value": one.value,
                "unit": one.unit,
                "wall_clock_s": one.wall_clock_s,
                **{name: value for name, value in one.more.items() if isinstance(value, int | float | str)},
                "because": one.because,
            }
            for one in self.answers
        ]
        units = {one.unit for one in self.answers if one.value is not None}
        return frame(rows, units={"value": units.pop()} if len(units) == 1 else None)

    def plot(self, look: Look = USUAL) -> Picture | None:
        """Draw the answers; the picture shows itself in a notebook. None for questions that have no picture."""
        return None if self.draw is None else picture(self.draw, look)
