"""`paraSim evaluate`: loss, perplexity and exact match of trained models."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from parasim.cli.options import PlainFormat
from parasim.cli.progress import patient_threads, stages


def command(
    model: Annotated[
        str, typer.Argument(metavar="DIR_OR_MODEL", help="Results of paraSim train, a model's folder, or a hub id.")
    ],
    data: Annotated[str, typer.Option(metavar="FILE", help="Questions and answers: .json, .jsonl, or a hub name.")],
    data_format: Annotated[
        str | None, typer.Option(help="alpaca, mathinstruct, gsm8k, svamp or columns, where the keys do not tell.")
    ] = None,
    examples: Annotated[int | None, typer.Option(help="Only the first so many examples.")] = None,
    sequence_length: Annotated[int, typer.Option(help="Where a prompt with its answer is cut, in tokens.")] = 512,
    answer_tokens: Annotated[
        int | None, typer.Option(help="Longest generated answer; as long as the longest given one if left out.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Examples at a time.")] = 32,
    format_: Annotated[PlainFormat, typer.Option("--format", help="What is printed.")] = PlainFormat.TABLE,
) -> None:
    """Measure models on held-out questions: loss, perplexity, and how many generated answers are right.

    Example: paraSim evaluate results/train --data results/train/held-out.jsonl
    """
    patient_threads()
    from parasim.evaluation import evaluate

    with stages() as report:
        scores = evaluate(
            model,
            data,
            format=data_format,
            examples=examples,
            sequence_length=sequence_length,
            answer_tokens=answer_tokens,
            batch_size=batch_size,
            report=report,
        )
    if format_ is PlainFormat.JSON:
        print(json.dumps([asdict(score) for score in scores], indent=2))
        return
    from parasim.cli.text import console, plain_table

    numbers = ("examples", "loss", "perplexity", "exact match")
    table = plain_table("model", *numbers, numbers=numbers)
    for score in scores:
        match = "-" if score.exact_match is None else f"{score.exact_match:.1%}"
        table.add_row(score.model, str(score.examples), f"{score.loss:.4f}", f"{score.perplexity:.4g}", match)
    console().print(table)
