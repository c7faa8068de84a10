"""What a directory holds, and the page about it: the template of its kind, filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from parasim.reporting.charts import css_fill, inlined
from parasim.reporting.files import ReportError, read_record
from parasim.reporting.plans import about_plan
from parasim.reporting.record import Record
from parasim.reporting.runs import about_explanation, about_simulation
from parasim.reporting.sweeps import about_sweep
from parasim.reporting.trainings import about_training
from parasim.sentences import listed
from parasim.text import amount, clock
from parasim_core.sim.errors import ParaSimError
from parasim_core.sim.scenario.yaml_reading import to_yaml
from parasim_core.sim.support.atomic_files import check_directory, is_file, is_folder, write_atomically

_KINDS: dict[str, tuple[str, Callable[[Path, Record], Mapping[str, Any]]]] = {
    "explain": ("explanation.json", about_explanation),
    "plan": ("plan.json", about_plan),
    "train": ("metrics.csv", about_training),
    "sweep": ("results.csv", about_sweep),
    "simulate": ("result.json", about_simulation),
}
_LONGEST = 200
"""Characters of what is wrong that a message repeats."""
_TEMPLATES = Path(__file__).parent / "templates"


def report(directory: str | Path, *, out: str | Path | None = None) -> Path:
    """Write one HTML file about a directory of results, and return its path.

    Parameters
    ----------
    directory : str or path
        What ``--out`` of `simulate`, `explain`, `sweep`, `plan` or `train` wrote to.
    out : str or path, optional
        The file; ``report.html`` in the directory if None. Missing directories are made.

    Raises
    ------
    ParaSimError
        If the directory holds nothing of that kind or is damaged, the scenario cannot be simulated, or the file
        cannot be written.
    """
    directory = Path(directory)
    page = directory / "report.html" if out is None else Path(out)
    if is_folder(page):
        raise ReportError(f"--out {page}: is a directory; give the name of a file, such as {page / 'report.html'}")
    if is_folder(directory):
        check_directory(page.parent)
    html = page_about(directory)
    write_atomically(page, lambda file: file.write(html))
    return page


def page_about(directory: Path) -> str:
    """Make the page about a directory; the parameters and errors are those of `report`."""
    if not is_folder(directory):
        raise ReportError(f"{directory}: {'is not a directory' if is_file(directory) else 'no such directory'}")
    record = read_record(directory)
    kinds = [kind for kind, (file, _) in _KINDS.items() if (directory / file).exists()]
    if not kinds:
        raise ReportError(
            f"{directory}: holds no results; give a directory that --out of {', '.join(_KINDS)} wrote, "
            f"with {' or '.join(file for file, _ in _KINDS.values())} in it"
        )
    # Of several, what was made last is what the record tells.
    kind = record.kind if record.kind in kinds else kinds[0]
    record = record if record.kind == kind else Record()
    file, about = _KINDS[kind]
    try:
        return _filled_in(kind, record, about(directory, record))
    except ParaSimError:
        raise
    except Exception as error:  # what reading, drawing and templates make of something else than was written
        reason = " ".join(str(error).split())[:_LONGEST]
        raise ReportError(f"{directory / file}: is damaged: {type(error).__name__}: {reason}") from error


def _filled_in(kind: str, record: Record, about: Mapping[str, Any]) -> str:
    """Fill in a template; everything that comes from outside (names, sentences, scenarios) is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pictures = count()
    filters: dict[str, Callable[..., str]] = {
        "clock": lambda seconds: clock(float(seconds)),
        "amount": amount,
        "joined": lambda texts: listed(list(texts)),
        "thousands": "{:,}".format,
        "fill": css_fill,
        "inlined": lambda svg: Markup(inlined(svg, f"p{next(pictures)}")),
    }
    environment.filters |= filters
    # The two files are paraSim's own; nothing else enters the page unescaped but the charts, which escape themselves.
    style, script = (Markup((_TEMPLATES / f"page.{name}").read_text(encoding="utf-8")) for name in ("css", "js"))
    text = to_yaml(record.scenario) if record.scenario else ""
    values = {"record": record, "scenario": text, "style": style, "script": script, "what_if": None, **about}
    return environment.get_template(f"{kind}.html").render(values)
