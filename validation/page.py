"""The page: every reference with its figures and aims, and the rivals on the same cases."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill

from validation.contest import Standing
from validation.history import ROOT
from validation.reference import Figure, Reference, references
from validation.rival import Rival, rivals

PAGE = ROOT / "docs" / "explanation" / "validation.md"

_HEAD = """\
# How far paraSim is from what it is held against

    python -m validation --write

writes this page, and into `validation/history.csv` a row with the commit for every figure that changed; `make validate`
tells whether both still hold. Figures are errors of paraSim against the reference, aims the issues'. Another reference
is a file in `validation/references`, another formula one in `validation/rivals`.
"""

_CONTEST = """\
What other simulators would say by **their formulas, written anew from what their public code does** (not their code;
mistakes are ours), told the same bytes and seconds of computing. Mean errors, the largest in brackets:
"""

_PAIRS = """\
Pairs are settings (methods, widths, compression, bandwidths) of one model and data set, one of them predicted; no
difference is a wrong order. Adding up is as good as simulating events where nothing overlaps and the clients' own links
bind. Where the server's link binds, the lesser of the own link and an even share comes close. That clients send while
they compute, no formula knows. The paper's seconds of computing are fitted by paraSim's clock.
"""


def section(reference: Reference, figures: Iterable[Figure]) -> str:
    """One reference: where it is from, and how far off paraSim is."""
    rows = [f"| {one.name} | {one.rows} | {_amount(one)} | {_aim(one)} |" for one in figures]
    head = f"## {reference.name} ({reference.kind})\n\n{_filled(reference.source)}\n"
    return "\n".join([head, "| | rows | found | aim |", "|---|---|---|---|", *rows, ""])


def contest_section(standings: Sequence[Standing]) -> str:
    """How paraSim and its rivals stand on the same cases, and what their formulas are."""
    own = standings[0]
    columns = [
        f"{len(own.makespans)} SimGrid makespans",
        f"{len(own.serial)} predicted cells without overlap",
        f"{len(own.overlapped)} of ParaBlock",
        f"wrong order, of {own.pairs} pairs",
    ]
    rows = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for one in standings:
        errors = " | ".join(map(_mean_and_largest, (one.makespans, one.serial, one.overlapped)))
        rows.append(f"| {one.name} | {errors} | {one.misranked} |")
    formulas = [_filled(_formula(rival), "  ") for rival in rivals()]
    return "\n".join(["## What exactness is worth\n", _CONTEST, *rows, "", _PAIRS, *formulas, ""])


def page(sections: Mapping[str, str], contest: str) -> str:
    """The whole page from the sections of all references, by name, and the one on rivals."""
    return "\n".join([_HEAD, *(sections[one.name] for one in references()), contest])


def _filled(text: str, indent: str = "") -> str:
    return fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _formula(rival: Rival) -> str:
    return f"- **{rival.name}** ({rival.source}): {rival.formula}. Left out: {rival.leaves_out}."


def _mean_and_largest(errors: Sequence[float]) -> str:
    sizes = [abs(error) for error in errors]
    return f"{math.fsum(sizes) / len(sizes):.1f} ({max(sizes):.1f}) %"


def _amount(figure: Figure) -> str:
    if figure.decimals > 3 and float(figure.told) == 0:
        return f"below {10.0**-figure.decimals:g} {figure.unit}"
    return f"{figure.told} {figure.unit}"


def _aim(figure: Figure) -> str:
    if figure.reached is None:
        return "-"
    return figure.aim if figure.reached else f"{figure.aim}: **missed**"
