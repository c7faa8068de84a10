"""Print a measured profile: what was measured, what the fit's coefficients mean, and how wrong it is."""

from __future__ import annotations

from parasim.sentences import say
from parasim.text import console, plain_table
from parasim_core.calibration.profiles.cost_terms import TERMS
from parasim_core.calibration.profiles.measured_file import MeasuredFile
from parasim_core.calibration.profiles.quality import POOR_MEDIAN_PCT, POOR_P95_PCT, HeldOut, doubt


def print_explanation(file: MeasuredFile) -> None:
    """Print a profile in words.

    Parameters
    ----------
    file : MeasuredFile
        The profile; the fit of an interrupted one is missing.
    """
    out = console()
    measured = [sample for sample in file.samples if sample.visits]
    out.print(say("profile.head", file=file))
    fit, held = file.fit, file.held_out
    if fit is None or held is None:
        out.print(say("profile.interrupted", points=len(measured)))
        return
    table = plain_table("coefficient", ">value", "unit", "what it is")
    # A name that goes on in the next line cannot be searched for; the meaning may.
    for column in table.columns[:-1]:
        column.no_wrap = True
    for term in TERMS:
        price = fit.coefficients[term.name]
        if price.value:
            table.add_row(term.name, f"{price.value:.4g}", price.unit, price.meaning)
    out.print(table)
    out.print(say(f"profile.form_{fit.form}"))
    for name, carriers in fit.undetermined.items():
        if carriers:
            out.print(say("profile.undetermined", name=name, carriers=carriers))
    out.print(say("profile.errors", held=held, unseen=_unseen_levels(held)))
    once = sum(sample.repeats == 1 for sample in measured)
    if once:
        out.print(say("profile.visited_once", once=once, points=len(measured)))
    if file.merging is None:
        out.print(say("profile.no_merging"))
    else:
        prices = [f"{one.value:.4g} {one.unit}" for one in file.merging.coefficients.values() if one.value]
        out.print(say("profile.merging", prices=prices, merging=file.merging))
        if why := doubt(file.merging.median_error_pct):
            out.print(say("profile.poor_merging", doubt=why))
    for sample in file.samples:
        if not sample.fits:
            out.print(f"Does not fit: {sample.point.label()} ({sample.reason})")
    out.print(say(f"profile.{held.quality}", doubt=held.doubt, median=POOR_MEDIAN_PCT, p95=POOR_P95_PCT))


def _unseen_levels(held: HeldOut) -> str:
    """Name the levels that the fit has not seen."""
    named = {"batch size": held.batch_size, "sequence length": held.sequence_length, "width": held.layers}
    words = [f"{what} {value:g}" for what, value in named.items() if value is not None]
    if held.first_layers:
        words.append("blocks from layer " + ", ".join(f"{first:g}" for first in held.first_layers))
    return say("profile.unseen", levels=words) if words else say("profile.all_levels_seen")
