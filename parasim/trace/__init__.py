"""A run for Perfetto's viewer: a process per client, arrows from cause to effect, and the use of the server's links.

`recording.py` says what a trace consists of, `chrome.py` and `perfetto.py` write it in the two formats that the
viewer opens: the JSON of Chrome's trace events, and Perfetto's own protobuf.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

from sim.atomic_files import check_directory, write_atomically
from sim.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from parasim.trace.recording import Trace
    from sim.result import Result
    from sim.studies.critical import CriticalPath

SUFFIXES = (".json", ".json.gz", ".pftrace")


def check_trace_path(path: Path) -> None:
    """Make sure, before a long run, that a trace can be written to a file.

    Raises
    ------
    OutputError
        If its name does not say the format, or its directory cannot hold it.
    """
    if not path.name.endswith(SUFFIXES):
        raise OutputError(f"--trace {path}: the name of a trace ends in {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise OutputError(f"--trace {path}: is a directory; give the name of a file")
    check_directory(path.parent)


def write_trace(result: Result, path: Path, critical: CriticalPath | None = None) -> None:
    """Write a run as a trace, complete or not at all, in the format that the file's name says.

    Parameters
    ----------
    result : Result
        The run.
    path : Path
        The file: ``.json`` or ``.json.gz`` (Chrome's trace events, times in whole microseconds), or ``.pftrace``
        (Perfetto's protobuf, in nanoseconds).
    critical : CriticalPath, optional
        Shown as a process of its own.

    Raises
    ------
    OutputError
        If the file cannot be written, or the run is too long for a trace.
    """
    from parasim.trace.recording import Trace

    check_trace_path(path)
    trace = Trace(result, critical)
    write = _writer(path)
    # The file is opened as text; what a trace is written to is the bytes below.
    write_atomically(path, lambda file: write(cast("TextIO", file).buffer, trace))


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
    suffix = next(suffix for suffix in SUFFIXES if path.name.endswith(suffix))
    stem = path.name.removesuffix(suffix)
    paths = [path.with_name(f"{stem}-{method}{suffix}") if len(results) > 1 else path for method in results]
    for result, own in zip(results.values(), paths, strict=True):
        write_trace(result, own)
    return paths


def _writer(path: Path) -> Callable[[BinaryIO, Trace], None]:
    if path.suffix == ".pftrace":
        from parasim.trace.perfetto import write_perfetto

        return write_perfetto
    from parasim.trace.chrome import write_chrome

    if path.suffix != ".gz":
        return write_chrome

    def write_compressed(file: BinaryIO, trace: Trace) -> None:
        # Without name and date, the same run gives the same bytes.
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as compressed:
            write_chrome(cast("BinaryIO", compressed), trace)

    return write_compressed
