"""A fleet of imported clients as a scenario: YAML with comments that say where everything comes from."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from parasim.importing.figures import Client, Taken
from parasim.importing.measurement import Direction, Rate
from parasim_core.sim.errors import OutputError, ScenarioError, brief, shown, shown_path
from parasim_core.sim.scenario.safe_parsing import parse_yaml
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.atomic_files import check_directory, is_file, read_text, write_atomically

_FIRST_LINE = "# Links as they were measured, imported by `paraSim import links`."
_HEAD = f"""{_FIRST_LINE}
# The model, and all that is left out, is the ParaBlock paper's setting: change it to yours, or copy the fleet into a
# scenario of your own.
model: llama-3-8b
"""
CSV_HEAD = "seconds,mbit_s"
"""First line of the traces that are written."""
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_NO_WORDS = {"null", "true", "false", "y", "n", "yes", "no", "on", "off"}


def fleet_of(clients: Sequence[Client], *, varying: bool) -> list[dict[str, Any]]:
    """What stands under `fleet:`, as plain data; rates that vary are steps."""
    return [_fields(client, _steps if varying else _constant) for client in clients]


def write_fleet(path: Path, clients: Sequence[Client], *, varying: bool) -> list[Path]:
    """Write the scenario and, for rates that vary, a trace (CSV) for each direction beside it.

    Returns
    -------
    list of Path
        What was written, the scenario first.

    Raises
    ------
    ParaSimError
        If the file cannot be written, holds something that was not imported, or would be longer than YAML is read.
    """
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise OutputError(f"{shown_path(path)}: the name of a fleet ends in .yaml or .yml")
    check_directory(path.parent)
    _check_free(path)
    traces: dict[Path, Rate] = {}

    def traced(client: Client, direction: Direction, rate: Rate) -> Any:
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", client.name)[:40].strip("-") or "client"
        at = path.with_name(f"{path.stem}-{name}-{direction}.csv")
        while at in traces:
            at = at.with_stem(f"{at.stem}-")
        traces[at] = rate
        return {"trace": at.name, "column": "mbit_s"}

    entries = [_fields(client, traced if varying else _constant) for client in clients]
    text = _HEAD + "fleet:\n" + "".join(_entry(*pair) for pair in zip(clients, entries, strict=True))
    _check_text(path, text)
    written: list[Path] = []
    try:
        for at, rate in traces.items():
            _check_free(at, CSV_HEAD)
            write_atomically(at, lambda file, rate=rate: _write_trace(file, rate))  # type: ignore[misc]
            written.append(at)
        write_atomically(path, lambda file: file.write(text))
    except BaseException:
        # Traces without the scenario that they belong to are of no use.
        for at in written:
            with suppress(OSError):
                at.unlink()
        raise
    return [path, *written]


def _fields(client: Client, varying: Any) -> dict[str, Any]:
    """One group of the fleet, as a scenario has it."""
    fields: dict[str, Any] = {"name": client.name}
    if client.count > 1:
        fields["count"] = client.count
    uplink, downlink = client.uplink or client.downlink, client.downlink
    if uplink is not None:
        fields["uplink"] = varying(client, "uplink", uplink) if uplink.course else _constant(client, "uplink", uplink)
    if downlink is not None and client.uplink is not None:
        fields["downlink"] = (
            varying(client, "downlink", downlink) if downlink.course else _constant(client, "downlink", downlink)
        )
    if client.latency is not None:
        fields["latency"] = f"{1000 * client.latency:.6g}ms"
    if client.has_transport:
        fields["transport"] = {"control": client.control} if client.control is not None else {}
        if client.loss:
            fields["transport"]["loss"] = f"{100 * client.loss:.6g}%"
    return fields


def _constant(client: Client, direction: Direction, rate: Rate) -> Any:
    return f"{8e-6 * rate.mean:.7g}Mbit/s"


def _steps(client: Client, direction: Direction, rate: Rate) -> Any:
    return {"steps": [[time, f"{8e-6 * value:.7g}Mbit/s"] for time, value in rate.course], "period": rate.period}


def _write_trace(file: Any, rate: Rate) -> None:
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(CSV_HEAD.split(","))
    rows.writerows((f"{time:.9g}", f"{8e-6 * value:.7g}") for time, value in rate.course)


def _entry(client: Client, fields: dict[str, Any]) -> str:
    """One group as YAML, each field with what it was taken from."""
    lines = []
    for name, value in fields.items():
        if name == "transport":
            lines.append("transport:")
            lines += [f"  {below}: {_scalar(one)}{_comment(client, below)}" for below, one in value.items()]
        elif isinstance(value, dict):
            inner = ", ".join(f"{below}: {_scalar(one)}" for below, one in value.items())
            lines.append(f"{name}: {{{inner}}}{_comment(client, name)}")
        else:
            lines.append(f"{name}: {_scalar(value)}{_comment(client, name)}")
    present = {*fields, *fields.get("transport", ())}
    lines += [f"# {one.field}: {_said(one)}" for one in client.taken if one.field not in present]
    lines += [f"# {brief(note, 400)}" for note in client.notes]
    return "".join(f"  {'-' if not place else ' '} {line}\n" for place, line in enumerate(lines))


def _comment(client: Client, field: str) -> str:
    for one in client.taken:
        if one.field == field:
            return f"  # {_said(one)}"
    return ""


def _said(one: Taken) -> str:
    return brief(f"{one.source or 'not known'}: {one.how}", 400)


def _scalar(value: object) -> str:
    """Write a value as YAML; text that could be read as something else in quotes, as JSON has them."""
    text = str(value)
    is_text = isinstance(value, str) and not re.fullmatch(r"[0-9][0-9.e+-]*(?:Mbit/s|ms|%)", text)
    if is_text and (not _PLAIN.fullmatch(text) or text.lower() in _NO_WORDS):
        return json.dumps(text, ensure_ascii=False)
    return text


def _check_free(path: Path, first_line: str = _FIRST_LINE) -> None:
    """Refuse to replace what somebody else wrote.

    Raises
    ------
    OutputError
        If a file is there that was not imported.
    """
    if not is_file(path):
        return
    with suppress(ValueError):
        if read_text(path).startswith(first_line):
            return
    raise OutputError(f"{shown_path(path)}: is there already and was not imported; choose another name")


def _check_text(path: Path, text: str) -> None:
    """Make sure that the scenario can be read again.

    Raises
    ------
    ScenarioError
        If it is longer than YAML may be, or a value is out of range.
    """
    try:
        fields = parse_yaml(text)
    except ValueError as error:
        raise ScenarioError(f"{shown_path(path)}: the fleet is too long for one file: {error}") from None
    Scenario.parse(fields, shown(path.name))
