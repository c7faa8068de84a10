"""`paraSim evaluate`: loss, perplexity and exact match of trained models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from parasim.cli.options import PlainFormat, assignments, print_json
from parasim.cli.progress import stages
from parasim.cli.quiet import note
from parasim.contracts import stamped
from parasim.extras import require_training
from parasim.sentences import grouped
from parasim.text import console, plain_table

if TYPE_CHECKING:
    from parasim.evaluation import Score


def command(
    model: Annotated[
        str, typer.Argument(metavar="DIR_OR_MODEL", help="Results of paraSim train, a model's folder, or a hub id.")
    ],
    data: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Questions and answers or conversations, .json, .jsonl or a hub name; or digits, for images.",
        ),
    ],
    data_format: Annotated[
        str | None, typer.Option(help="alpaca, dolly, messages, ... or columns, where the keys do not tell.")
    ] = None,
    column: Annotated[
        list[str],
        typer.Option(
            metavar="FIELD=NAME",
            help="Which column of other data is the prompt, the response, the answer; as in the model's training if "
            "left out.",
        ),
    ] = [],  # noqa: B006 - typer copies it
    examples: Annotated[int | None, typer.Option(help="Only the first so many examples.")] = None,
    sequence_length: Annotated[
        int | None,
        typer.Option(
            help="Where a prompt with its answer is cut, in tokens; 512, or what the model can read, if left out."
        ),
    ] = None,
    answer_tokens: Annotated[
        int | None, typer.Option(help="Longest generated answer; as long as the longest given one if left out.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Examples at a time.")] = 32,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Of the training that held out the digits; as recorded in its directory if left out."),
    ] = None,
    format_: PlainFormat = "table",
) -> None:
    """Measure models on held-out questions.

    Example: paraSim evaluate results/train --data results/train/held-out.jsonl
    """
    require_training("paraSim evaluate")
    from parasim.evaluation import evaluate

    with stages() as report:
        scores = evaluate(
            model,
            data,
            format=data_format,
            columns=assignments("--column", column, "prompt=question") or None,
            examples=examples,
            sequence_length=sequence_length,
            answer_tokens=answer_tokens,
            batch_size=batch_size,
            seed=seed,
            report=report,
        )
    _say_what_is_missing(scores, examples)
    if format_ == "json":
        print_json(stamped("evaluate", {"scores": [asdict(score) for score in scores]}))
        return
    table = plain_table("model", ">examples", ">loss", ">perplexity", ">exact match")
    for score in scores:
        match = "-" if score.exact_match is None else f"{score.exact_match:.1%}"
        table.add_row(score.model, str(score.examples), f"{score.loss:.4f}", f"{score.perplexity:.4g}", match)
    console().print(table)


def _say_what_is_missing(scores: Sequence[Score], examples: int | None) -> None:
    """Say, beside the results, what of the data is not in them."""
    if examples is not None and scores[0].examples < examples:
        note(f"There are only {scores[0].examples} examples, not {examples}.")
    cut = []
    for score in scores:
        lost = score.truncation
        if lost is not None and lost.lost_answer_tokens:
            fate = "; what is dropped has no part in the loss and counts as wrong" if lost.dropped else ""
            cut.append((f"at {score.sequence_length} tokens {lost}{fate}.", score.model))
    for said, models in grouped(cut).items():
        note(f"{', '.join(models)}: {said}")
