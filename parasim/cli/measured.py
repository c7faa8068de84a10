"""Print a measured profile: what was measured, what the fit's coefficients mean, and how wrong it is."""

from __future__ import annotations

from calibration.cost_terms import TERMS
from calibration.measured_file import HeldOut, MeasuredFile
from parasim.text import amount, console, plain_table

_FORMS = {
    "sum": "A phase (forward, head, backward) takes the sum of its terms.",
    "maximum": "A phase (forward, head, backward) takes its launches or its work, whichever is longer.",
}


def print_explanation(file: MeasuredFile) -> None:
    """Print a profile in words.

    Parameters
    ----------
    file : MeasuredFile
        The profile; the fit of an interrupted one is missing.
    """
    out, device, model, versions = console(), file.device, file.model, file.versions
    measured = [sample for sample in file.samples if sample.visits]
    out.print(
        f"{file.name}: {model.name} ({amount(model.parameters, '')} parameters, {model.dtype}, {model.attention} "
        f"attention) on {device.name}, timed by {device.clock}\n"
        f"measured {file.date} with torch {versions.torch}, transformers {versions.transformers}: {file.command}\n"
    )
    fit, held = file.fit, file.held_out
    if fit is None or held is None:
        out.print(f"{len(measured)} points measured; interrupted before the fit.")
        return
    table = plain_table("coefficient", "value", "unit", "what it is", numbers=("value",))
    # A name that goes on in the next line cannot be searched for; the meaning may.
    for column in table.columns[:-1]:
        column.no_wrap = True
    for term in TERMS:
        price = fit.coefficients[term.name]
        if price.value:
            table.add_row(term.name, f"{price.value:.4g}", price.unit, price.meaning)
    out.print(table)
    out.print(f"\nTerms that are zero are left out. {_FORMS[fit.form]}")
    for name, carriers in fit.undetermined.items():
        if carriers:
            out.print(f"The samples do not tell {name} from {' and '.join(carriers)}, which has the price of both.")
    out.print(
        f"{held.fitted_points} points fitted: error {held.fitted_median_error_pct:g} % (median), "
        f"{held.fitted_p95_error_pct:g} % (95th percentile).\n"
        f"{held.points} points held out: error {held.median_error_pct:g} % (median), {held.p95_error_pct:g} % "
        f"(95th percentile). {_unseen_levels(held)}"
    )
    once = sum(sample.repeats == 1 for sample in measured)
    if once:
        out.print(f"{once} of {len(measured)} points were visited once: their spread is unknown (a longer --budget).")
    out.print(_merging(file))
    for sample in file.samples:
        if not sample.fits:
            out.print(f"Does not fit: {sample.point.label()} ({sample.reason})")


def _merging(file: MeasuredFile) -> str:
    """Say what merging a stack of adapters takes, or that it is not known."""
    merging = file.merging
    if merging is None:
        return "Merging stacks of adapters was not measured: FLoRA is not covered."
    prices = [f"{one.value:.4g} {one.unit}" for one in merging.coefficients.values() if one.value]
    return (
        f"Merging a stack of adapters (FLoRA): {', '.join(prices)}; held-out error {merging.median_error_pct:g} % "
        f"(median), {merging.largest_error_pct:g} % (largest)."
    )


def _unseen_levels(held: HeldOut) -> str:
    """Name the levels that the fit has not seen."""
    named = {"batch size": held.batch_size, "sequence length": held.sequence_length, "width": held.layers}
    words = [f"{what} {value:g}" for what, value in named.items() if value is not None]
    if held.first_layers:
        words.append("blocks from layer " + ", ".join(f"{first:g}" for first in held.first_layers))
    if not words:
        return "No level was held out as a whole: that takes ranges with levels between their ends."
    return "No fitted point has " + ", ".join(words) + "."
