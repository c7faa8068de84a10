"""`paraSim validate`: hold predictions against what really happens."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parasim.cli.calibrate import budget_seconds, measuring, use_threads
from parasim.cli.live import Agents, Authority, Shaping, Token, reached
from parasim.cli.options import DeviceKind, Format, OutputDirectory, Overrides, PlainFormat, print_json, values_of
from parasim.cli.pictures import draws
from parasim.cli.progress import stages
from parasim.cli.quiet import note
from parasim.contracts import stamped
from parasim.extras import require_live, require_training
from parasim.figures.look import USUAL, Look
from parasim.sentences import say
from parasim.text import amount, clock, console, plain_table
from parasim_core.calibration.profiles.points import in_layers
from parasim_core.calibration.profiles.quality import doubt
from parasim_core.sim.errors import CostError, ScenarioError, install_hint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from parasim.live.comparison import LiveRow
    from parasim.validation import ComputeValidation
    from parasim_core.calibration.devices.validation import Verdict
    from parasim_core.calibration.transport.compare import KindSummary, TransportComparison

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def group() -> None:
    """Hold predictions against what really happens."""


@app.command()
def compute(
    model: Annotated[
        str | None,
        typer.Option(help="Catalogue name, demo (the default), or a config.json (or its folder); weights are random."),
    ] = None,
    device: Annotated[DeviceKind, typer.Option(help="Where it is measured and trained.")] = "cpu",
    profile: Annotated[
        str | None, typer.Option(metavar="FILE", help="A profile of this device, with its model, instead of measuring.")
    ] = None,
    method: Annotated[str, typer.Option(help="Methods to train, with commas between them.")] = (
        "parablock,fedbcd,fedit,full-ft"
    ),
    set_: Overrides = [],  # noqa: B006 - typer copies it
    budget: Annotated[
        str, typer.Option(help="Time for measuring; every point is measured once all the same.")
    ] = "2min",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of PyTorch on a CPU; a profile names its own.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where everything goes.")] = Path("results/validate"),
    format_: PlainFormat = "table",
) -> None:
    """Calibrate, predict a training run that was no part of it, train it, and compare compute time per round.

    Interrupted, measuring goes on where it stopped: run the same command again.

    Example: paraSim validate compute --model demo --out results/validate
    """
    if profile is not None and threads is not None:
        raise ScenarioError(
            f"--threads {threads}: the profile names how many; leave one of --profile and --threads out"
        )
    seconds = budget_seconds(budget)
    from parasim.validation import validate_compute

    use_threads(threads)
    with stages(out) as report:
        validation = validate_compute(
            model,
            device=device,
            profile=profile,
            seconds=seconds,
            methods=values_of("--method", method),
            overrides=set_,
            directory=out,
            measuring=measuring(report),
            report=report,
        )
    if format_ == "json":
        print_json(stamped("validate-compute", validation.summary(), validation.run))
        return
    _print(validation, out)


@app.command()
@draws
def transport(
    traces: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the 4G logs, which are not shipped (4g-*.csv).")
    ] = None,
    format_: Format = "table",
    out: OutputDirectory = None,
    look: Look = USUAL,
) -> None:
    """Compare transfers that real TCP made with the same ones in the simulator's network.

    Example: paraSim validate transport --out results/transport
    """
    from parasim_core.calibration.transport.compare import compare, measured, summaries
    from parasim_core.sim.support.atomic_files import write_rows

    comparisons = compare(measured(), traces)
    kinds = summaries(comparisons)
    rows = [one.row() for one in comparisons]
    written = []
    if out is not None:
        from parasim.figures.transport import draw_transport

        write_rows(out / "transport.csv", list(rows[0]), [list(row.values()) for row in rows])
        written = [out / "transport.csv", *draw_transport(comparisons, out / "parity", look)]
    if format_ == "json":
        found = {"rows": rows, "kinds": {kind: summary._asdict() for kind, summary in kinds.items()}}
        print_json(stamped("validate-transport", found))
    elif format_ == "csv":
        writer = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        _print_transport(comparisons, kinds)
    # Beside the rows, which a program may read.
    if traces is None:
        skipped = sum(row["kind"] == "trace" for row in measured())
        note(f"Left out: {skipped} rows on 4G logs, which are not shipped; --traces names their folder")
    if written:
        note(f"Files: {', '.join(map(str, written))}")


@app.command()
def devices(
    rows: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Rows of the same form, with their models in a models.json beside it."),
    ] = None,
    format_: PlainFormat = "table",
) -> None:
    """Compare times and memory that others published for real GPUs with what is predicted for these.

    Every row is traced, which takes a second or two of one core each, and needs torch. With --format json: `rows`
    (`id`, `metric`, `reported`, `predicted`, `error_pct`, `comparable` and more; [s] and [B]) and `summary`.

    Example: paraSim validate devices
    """
    from parasim_core.calibration.devices.published import read_rows, shipped_rows

    published = shipped_rows() if rows is None else read_rows(rows)
    try:
        from parasim_core.calibration.devices.validation import summary, validate
    except ImportError as missing:
        raise CostError(f"{install_hint('tracing a step', 'train')} ({missing})") from None
    verdicts = validate(published)
    if format_ == "json":
        found = {"rows": [verdict.entry() for verdict in verdicts], "summary": summary(verdicts)}
        print_json(stamped("validate-devices", found))
        return
    _print_devices(verdicts, summary(verdicts))


def _print_devices(verdicts: Sequence[Verdict], spread: Mapping[str, Any]) -> None:
    terminal = console()
    table = plain_table("id", "metric", "source", "inputs", ">reported", ">predicted", ">error", "strict", keep=("id",))
    for verdict in verdicts:
        if verdict.error_pct is not None and verdict.reported and verdict.predicted:
            units = ("B" if verdict.row.metric == "memory" else "s",) * 2
            figures = [
                amount(figure, unit) for figure, unit in zip((verdict.reported, verdict.predicted), units, strict=True)
            ]
            told = [*figures, f"{verdict.error_pct:+.1f} %", "yes" if verdict.comparable else "no"]
            source = str(verdict.row.fields.get("source", ""))
            table.add_row(
                verdict.row.name,
                verdict.row.metric,
                source.split(" ")[1 if " " in source else 0],
                verdict.row.inputs,
                *told,
            )
    terminal.print(table)
    left_out = [verdict for verdict in verdicts if verdict.error_pct is None]
    for verdict in left_out:
        terminal.print(f"{verdict.row.name}: {verdict.reason}")
    table = plain_table("", ">rows", ">median", ">nine in ten", ">largest", ">bias")
    for name, own in _summaries(spread):
        errors = [own["median_pct"], own["nine_in_ten_pct"], own["largest_pct"]]
        if own["rows"]:
            table.add_row(name, str(own["rows"]), *(f"{error:.1f} %" for error in errors), f"{own['bias_pct']:+.1f} %")
    terminal.print("")
    terminal.print(table)
    for kind, band in spread["time"]["by_class"].items():
        terminal.print(_band_line(kind, band))


def _band_line(kind: str, band: Mapping[str, Any]) -> str:
    line = f"Class {kind}: nine in ten of {band['rows']} times are within a factor of {band['factor']:.2f}"
    if band["left_out_within_pct"] is None:
        return f"{line}, all of one source."
    return f"{line}; within that of the other sources' rows are {band['left_out_within_pct']:.0f} %."


def _summaries(spread: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for metric in ("time", "memory"):
        yield f"{metric}, strictly comparable", spread[metric]["comparable"]
        yield f"{metric}, all expressed", spread[metric]["expressed"]
        for gpu, own in spread[metric]["by_gpu"].items():
            yield f"{metric}, {gpu}", own
    yield "time, from GPU to GPU", spread["scale"]


@app.command()
def live(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The scenario.")],
    set_: Overrides = [],  # noqa: B006 - typer copies it
    method: Annotated[
        str | None, typer.Option(help="Methods, with commas between them; the scenario's if none.")
    ] = None,
    bandwidth: Annotated[
        str | None, typer.Option(help="Bandwidths of every client, up and down, with commas; the scenario's if none.")
    ] = None,
    payload: Annotated[
        str | None, typer.Option(help="Sizes of a message, with commas; the scenario's if none.")
    ] = None,
    dry: Annotated[
        bool, typer.Option("--dry", help="Sleep as long as computing is predicted to take, and send zeros.")
    ] = False,
    agents: Agents = None,
    token: Token = None,
    authority: Authority = None,
    shaping: Shaping = True,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where everything goes.")] = Path("results/validate-live"),
    format_: PlainFormat = "table",
) -> None:
    """Run settings on this machine in real time, twice each, and compare every activity with what is predicted.

    Example: paraSim validate live examples/live.yaml --dry --method parablock,fedbcd --bandwidth 4MB/s,8MB/s
    """
    require_live("paraSim validate live")
    if not dry:
        require_training("paraSim validate live")
    from parasim.live.comparison import compare_live, summary
    from parasim_core.sim.support.atomic_files import write_rows

    axes = (
        ("--method", method, ("method.name",)),
        ("--bandwidth", bandwidth, ("fleet.*.uplink", "fleet.*.downlink")),
        ("--payload", payload, ("payload.upload",)),
    )
    grid = [(fields, values_of(option, text)) for option, text, fields in axes if text is not None]
    addresses, known = reached(agents, token, authority)
    with stages() as report:
        rows = compare_live(
            file, set_, grid=grid, out=out, dry=dry, agents=addresses, known=known, shaped=shaping, report=report
        )
    entries, found = [row.entry() for row in rows], summary(rows)
    write_rows(out / "live.csv", list(entries[0]), [list(entry.values()) for entry in entries])
    if format_ == "json":
        print_json(stamped("validate-live", {"rows": entries, "summary": found}))
        return
    _print_live(rows, found)
    print(f"Rows: {out / 'live.csv'}")


def _print_live(rows: Sequence[LiveRow], found: Mapping[str, Any]) -> None:
    terminal = console()
    table = plain_table(
        "setting", ">measured", ">again", ">noise", ">blind", ">predicted", ">error", ">activities off by"
    )
    for row in rows:
        blind = "-" if row.blind_error is None else f"{row.blind_error:+.1%}"
        seconds = [f"{figure:.3f} s" for figure in (row.measured_s, row.again_s)]
        off = f"{1000 * row.mean_span_s:.0f} ms, {1000 * row.largest_span_s:.0f} at most"
        table.add_row(
            row.setting, *seconds, f"{row.noise:.1%}", blind, f"{row.predicted_s:.3f} s", f"{row.error:+.1%}", off
        )
    terminal.print(table)
    terminal.print(say("validation.live", found=found, met="met" if found["met"] else "NOT met"))


_HOLDS = {True: "yes", False: "NO", None: "-"}


def _print_transport(comparisons: Sequence[TransportComparison], kinds: Mapping[str, KindSummary]) -> None:
    terminal = console()
    table = plain_table("kind", "transfer", ">measured", ">predicted", ">error", ">bound", "within", keep=("transfer",))
    for one in comparisons:
        figures = [f"{figure:.4g} {one.unit}" for figure in (one.measured, one.predicted)]
        bound = "-" if one.bound_pct is None else f"{one.bound_pct:g} %" + (" (mean)" if one.kind == "trace" else "")
        table.add_row(one.kind, one.what, *figures, f"{one.error_pct:+.1f} %", bound, _HOLDS[one.holds])
    terminal.print(table)
    table = plain_table("kind", ">rows", ">mean error", ">largest", "within the bounds")
    for kind, summary in kinds.items():
        errors = f"{summary.mean_pct:.1f} %", f"{summary.max_pct:.1f} %"
        table.add_row(kind, str(summary.rows), *errors, _HOLDS[summary.holds])
    terminal.print("")
    terminal.print(table)


def _print(validation: ComputeValidation, out: Path) -> None:
    terminal = console()
    blocks = in_layers(validation.run["blocks"]["layers"])
    terminal.print(say("validation.head", validation=validation, blocks=blocks))
    if validation.quality == "poor":
        terminal.print(say("validation.poor", doubt=doubt(*validation.held_out_pct)))
    goal = f"within {validation.goal_pct:g} %"
    errors_of = (">error", ">median round", ">worst round")
    table = plain_table("method", ">rounds", ">predicted", ">measured", *errors_of, goal)
    for method in validation.methods:
        cells, verdict = ["-"] * 5, "not covered"
        if method.predicted_s is not None and method.measured_s is not None:
            errors = (method.median_round_pct, method.largest_round_pct)
            cells = [clock(method.predicted_s), clock(method.measured_s), f"{method.error_pct:+.1f} %"]
            cells += [f"{error:.1f} %" for error in errors]
            verdict = "yes" if method.met else "NO"
        table.add_row(method.method, str(method.rounds), *cells, verdict)
    terminal.print(table)
    for method in validation.methods:
        if method.reason:
            terminal.print(f"\n{method.method}: {method.reason}")
    within = sum(method.met for method in validation.methods)
    met, methods = "met" if validation.met else "NOT met", len(validation.methods)
    terminal.print(say("validation.result", validation=validation, met=met, within=within, methods=methods))
    if not validation.met:
        terminal.print(say("validation.busier"))
    print(f"Rounds: {out / 'rounds.csv'}")
