"""A run for Perfetto's viewer: a process per client, arrows from cause to effect, and the use of the server's links.

Traces are JSON in the trace event format of Chrome, plain or compressed, which Perfetto's viewer and
``chrome://tracing`` open. `events.py` says what is in them, `arrows.py` who waited for whom. For other simulators and
tools, `chakra.py` writes a run as execution traces of Chakra.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from parasim_core.sim.errors import OutputError
from parasim_core.sim.support.atomic_files import check_directory, is_folder, write_atomically

if TYPE_CHECKING:
    from parasim_core.sim.analysis.critical_path import CriticalPath
    from parasim_core.sim.engine.result import Result


CHAKRA = ".et"
"""How names of Chakra's execution traces end."""


def check_trace_path(path: Path) -> None:
    """Make sure, before a long run, that a trace can be written to a file.

    Raises
    ------
    OutputError
        If its name does not say the format, or its directory cannot hold it.
    """
    if not path.name.endswith((".json", ".json.gz", CHAKRA)):
        raise OutputError(
            f"--trace {path}: the name ends in .json or .json.gz, for Perfetto's viewer, or in {CHAKRA}, for Chakra"
        )
    if path.name.endswith(CHAKRA):
        from parasim.trace.chakra import require_chakra

        require_chakra()
    if is_folder(path):
        raise OutputError(f"--trace {path}: is a directory; give the name of a file")
    check_directory(path.parent)


def write_trace(result: Result, path: Path, critical: CriticalPath | None = None) -> None:
    """Write a run as a trace, complete or not at all.

    Parameters
    ----------
    result : Result
        The run.
    path : Path
        The file, ``.json`` or ``.json.gz``, or ``.et`` for one of Chakra's for each actor; times in it are whole
        microseconds.
    critical : CriticalPath, optional
        Shown as a process of its own.

    Raises
    ------
    OutputError
        If the file cannot be written, or the run is too long for a trace.
    """
    from parasim.trace.events import RunTrace

    check_trace_path(path)
    if path.name.endswith(CHAKRA):
        from parasim.trace.chakra import write_chakra

        write_chakra(result, path)
        return
    trace = RunTrace(result, critical)

    def write(file: IO[str]) -> None:
        # The file is opened as text; what a trace is written to is the bytes below.
        plain = cast("Any", file).buffer
        # Without name and date, the same run gives the same bytes.
        zipped = path.suffix == ".gz"
        with gzip.GzipFile("", "wb", 6, plain, mtime=0) if zipped else nullcontext(plain) as target:
            write_events(target, trace.events())

    write_atomically(path, write)


def write_events(file: IO[bytes] | gzip.GzipFile, events: Iterable[Mapping[str, Any]]) -> None:
    """Write events one a line, each as soon as it is made."""
    encode = json.JSONEncoder(separators=(",", ":")).encode
    file.write(b'{"displayTimeUnit":"ms","traceEvents":[\n')
    for number, event in enumerate(events):
        file.write(b",\n" * (number > 0) + encode(event).encode())
    file.write(b"\n]}\n")


def named(result: Result, path: Path) -> str:
    """Say where a run's trace is."""
    if not path.name.endswith(CHAKRA):
        return str(path)
    from parasim.trace.chakra import chakra_files, ranks_of

    files = chakra_files(path, ranks_of(result))
    return f"{files[0]} to {files[-1].name}, a file for each client, then the server"


def write_traces(results: Mapping[str, Result], path: Path) -> list[Path]:
    """Write the runs of several methods, each into a file of its own.

    Parameters
    ----------
    results : mapping of str to Result
        Runs by method.
    path : Path
        The file if there is one run; of several, ``run.json`` becomes ``run-parablock.json`` and so on.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    OutputError
        As from `write_trace`.
    """
    check_trace_path(path)
    suffix = next(suffix for suffix in (".json", ".json.gz", CHAKRA) if path.name.endswith(suffix))
    stem = path.name.removesuffix(suffix)
    paths = [path.with_name(f"{stem}-{method}{suffix}") if len(results) > 1 else path for method in results]
    for result, own in zip(results.values(), paths, strict=True):
        write_trace(result, own)
    return paths
