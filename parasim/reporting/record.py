"""How a directory of results was made: the command, the version and the scenario, beside the results themselves."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from parasim import __version__
from parasim.contracts import as_given, stamped
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.atomic_files import write_json

RECORD = "reproduce.json"


@dataclass(frozen=True)
class Record:
    """How a directory of results was made.

    Attributes
    ----------
    kind : str
        The subcommand of `paraSim`; like all else empty where a directory does not say how it was made.
    command : str
        The whole command, as a shell takes it.
    version : str
        The version of paraSim.
    scenario : mapping
        The scenario as plain data, every override applied; of several, the first.
    files : sequence of str
        Names of the results and pictures that the command left; whatever else lies there is older.
    """

    kind: str = ""
    command: str = ""
    version: str = ""
    scenario: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[str] = ()


def leave_record(directory: Path, kind: str, scenario: Scenario | Mapping[str, Any], files: Iterable[Path]) -> None:
    """Write ``reproduce.json`` beside the results of the command, or of the script, that is running.

    Parameters
    ----------
    directory : Path
        Where the results are.
    kind : str
        The subcommand.
    scenario : Scenario or mapping
        What was run; of several scenarios, the first.
    files : iterable of Path
        The results and pictures that were written to it.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    record = Record(kind, _command(), __version__, as_given(scenario), [path.name for path in files])
    write_json(directory / RECORD, stamped("record", asdict(record)))


def _command() -> str:
    own = Path(sys.argv[0]).name in ("paraSim", "__main__.py")
    return shlex.join(["paraSim", *sys.argv[1:]] if own else ["python", *sys.argv])
