"""A picture in memory, which shows itself in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from parasim.figures.look import Look, read_formats
from parasim_core.sim.support.atomic_files import write_atomically

_FORMATS = "png,svg,pdf"


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes
    ----------
    files : dict of str to bytes
        Its contents by format: ``png``, ``svg`` and ``pdf``.
    """

    files: dict[str, bytes] = field(repr=False)

    def _repr_png_(self) -> bytes:
        return self.files["png"]

    def save(self, path: str | Path) -> Path:
        """Write it to a file whose ending says the format; return its path.

        Raises
        ------
        ParaSimError
            If there is no such format, or the file cannot be written.
        """
        path = Path(path)
        (suffix,) = read_formats(path.suffix.removeprefix("."))

        def write(file: Any) -> None:
            # The file is opened as text, below which are the bytes.
            file.buffer.write(self.files[suffix])

        write_atomically(path, write)
        return path


def picture(draw: Callable[[Path, Look], Sequence[Path]], look: Look) -> Picture:
    """Draw a picture in memory.

    Parameters
    ----------
    draw : callable
        Draws it into a folder, and returns its files.
    look : Look
        How it is wanted.
    """
    with TemporaryDirectory() as folder:
        paths = draw(Path(folder), replace(look, formats=read_formats(_FORMATS)))
        return Picture({path.suffix.removeprefix("."): path.read_bytes() for path in paths})
