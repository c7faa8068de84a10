"""`paraSim live`: a scenario's protocol in real time, with agents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parasim.cli.options import Overrides, PlainFormat, print_json, values_of
from parasim.cli.pictures import draws
from parasim.cli.progress import stages
from parasim.cli.simulate import print_breakdown
from parasim.extras import require_live, require_training
from parasim.figures.look import USUAL, Look
from parasim.outputs.runs import simulated

if TYPE_CHECKING:
    from parasim.live.wire import Secrets

Agents = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT,...", help="One agent per client, in their order; started here if none."),
]
Token = Annotated[Path | None, typer.Option(metavar="FILE", help="Of --agents; else the variable PARASIM_TOKEN.")]
Authority = Annotated[
    Path | None, typer.Option(metavar="FILE", help="PEM: what the certificates of --agents are held against.")
]
Shaping = Annotated[
    bool, typer.Option("--shaping/--no-shaping", help="Hold links to the scenario's capacities, or not.")
]


def reached(agents: str | None, token: Path | None, authority: Path | None) -> tuple[list[str], Secrets | None]:
    """Read where agents are, and what is shared with them; None if there are none.

    Raises
    ------
    ScenarioError
        If an address is none, or a file cannot be read.
    """
    from parasim.live.wire import Secrets, check_address, read_bytes, read_token

    addresses = [check_address(address, "--agents") for address in values_of("--agents", agents)]
    if not addresses:
        return [], None
    held_against = None if authority is None else read_bytes(authority, "--authority")
    return addresses, Secrets(read_token(token), authority=held_against)


@draws
def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The scenario.")],
    set_: Overrides = [],  # noqa: B006 - typer copies it
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where everything goes.")] = Path("results/live"),
    dry: Annotated[
        bool, typer.Option("--dry", help="Sleep as long as computing is predicted to take, and send zeros.")
    ] = False,
    agents: Agents = None,
    token: Token = None,
    authority: Authority = None,
    shaping: Shaping = True,
    patience: Annotated[float, typer.Option(metavar="SECONDS", help="Longest time that anything may take.")] = 3600.0,
    format_: PlainFormat = "table",
    look: Look = USUAL,
) -> None:
    """Run the protocol on real machines, in real time, and measure it.

    Agents, one per client, train (or with --dry, sleep) and communicate over TCP; the protocol is that of simulate.

    Example: paraSim live examples/live.yaml --dry --out results/live
    """
    require_live("paraSim live")
    if not dry:
        require_training("paraSim live")
    from parasim.live.conductor import live
    from parasim.outputs.lives import leave_live

    addresses, known = reached(agents, token, authority)
    with stages() as report:
        run = live(
            file,
            set_,
            out=out,
            dry=dry,
            agents=addresses,
            shaped=shaping,
            known=known,
            patience=patience,
            report=report,
        )
        written = leave_live(run, out, look)
    if format_ == "json":
        print_json(simulated(run.result))
        return
    print_breakdown(run.result, computed=run.trained is not None)
    if run.trained is not None:
        last = run.trained.metrics[-1]
        print(f"Held-out loss: {run.trained.base_loss or 0:.4f} before, {last['eval_loss']:.4f} after.")
    print("Written: " + ", ".join(map(str, written)))
