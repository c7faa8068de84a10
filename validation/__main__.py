"""The command: hold paraSim against every reference, and write or check the page and the history."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from parasim_core.sim.errors import ParaSimError
from validation import history
from validation.contest import contest
from validation.page import PAGE, contest_section, page, section
from validation.reference import Figure, references


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0, 1 if the page or the history tells other figures, 2 if they cannot be written."""
    parser = argparse.ArgumentParser("python -m validation", description=__doc__)
    parser.add_argument(
        "--write", action="store_true", help="write docs/explanation/validation.md and append to validation/history.csv"
    )
    write = parser.parse_args(arguments).write
    try:
        return _write() if write else _check()
    except (ParaSimError, OSError) as reason:
        print(reason, file=sys.stderr)
        return 2


def _check() -> int:
    written, found = _found()
    differs = [f"{name}: {one.label} is {one.told} now" for name, one in history.changes(_text(history.HISTORY), found)]
    if _text(PAGE) != written:
        differs.append(f"{PAGE.relative_to(history.ROOT)} is not what is found")
    for line in differs:
        print(line)
    if differs:
        print("python -m validation --write writes page and history anew")
    return 1 if differs else 0


def _write() -> int:
    commit, date = history.commit()
    written, found = _found()
    before = _text(history.HISTORY)
    history.HISTORY.write_text(history.appended(before, found, commit, date), encoding="utf-8")
    PAGE.write_text(written, encoding="utf-8")
    print(f"{len(history.changes(before, found))} figures changed; files: {PAGE}, {history.HISTORY}")
    return 0


def _found() -> tuple[str, dict[str, list[Figure]]]:
    """The page, and all figures by the name of what they are of, which are printed as they are found."""
    sections: dict[str, str] = {}
    found: dict[str, list[Figure]] = {}
    for reference in references():
        found[reference.name] = own = list(reference.figures())
        sections[reference.name] = section(reference, own)
        _tell(reference.name, own)
    standings = contest()
    for one in standings[1:]:
        found[f"formula of {one.name}"] = own = one.figures()
        _tell(f"formula of {one.name}", own)
    return page(sections, contest_section(standings)), found


def _tell(name: str, figures: list[Figure]) -> None:
    verdicts = {True: ": reached", False: ": MISSED", None: ""}
    for one in figures:
        aim = f" ({one.aim}{verdicts[one.reached]})" if one.aim else ""
        print(f"{name}: {one.name}: {one.told} {one.unit}, of {one.rows}{aim}", flush=True)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
