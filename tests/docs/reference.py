"""Reference pages that are made of the program: its options, fields, results and docstrings.

    python -m tests.docs

writes them, with all other pages. What they say is in `parasim` alone; a test holds them against it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import parasim
from parasim.cli.commands import COMMANDS, load
from parasim.cli.listing import PROFILE
from parasim.contracts import CONTRACTS
from parasim.contracts.shapes import contract_schema
from parasim_core.calibration.profiles.measured_file import profile_schema
from parasim_core.train.runs.settings import json_schema

Schema = Mapping[str, Any]
_SECTION = re.compile(r"^(?P<title>[A-Z][A-Za-z ]+)\n-{3,}\n", re.MULTILINE)


def command_line() -> str:
    """Every subcommand with its arguments and options."""
    pages = [
        "# Command line\n\nEvery command and option, as `--help` tells them. All commands also take\n`--quiet`, "
        "`--verbose`, `--log-file FILE`, `--debug` and `--import FILE`;\n[exit statuses](machines.md#exit-statuses) "
        "are common to all.\n"
    ]
    for name in COMMANDS:
        pages += _command(f"paraSim {name}", load(name))
    return "\n".join(pages)


def _command(name: str, command: Any) -> Iterator[str]:
    yield f"## {name}\n\n{_paragraphs(command.help or '')}\n"
    for sub, inner in getattr(command, "commands", {}).items():
        inner.name = sub
        yield from (text.replace("## ", "### ", 1) for text in _command(f"{name} {sub}", inner))
    kinds = {} if hasattr(command, "commands") else get_type_hints(command.callback)
    rows = [
        (_named(option, kinds.get(option.name, bool)), option.help or "")
        for option in command.params
        if "--help" not in option.opts
    ]
    if rows:
        yield _table(("option", "meaning"), rows)


def _named(option: Any, kind: Any) -> str:
    """Name an option with what it takes."""
    if option.param_type_name == "argument":
        return f"`{option.metavar or str(option.name).upper()}`"
    names = ", ".join([*option.opts, *option.secondary_opts])
    takes = "" if option.is_flag else f" {option.metavar or _words(kind)}"
    return f"`{names}{takes}`"


def _words(kind: Any) -> str:
    """Name a type of an option: its choices, or what it is."""
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    inner = [one for one in get_args(kind) if one is not type(None)]
    return (
        _words(inner[0])
        if inner
        else {"str": "TEXT", "Path": "PATH", "int": "NUMBER", "float": "NUMBER"}[kind.__name__]
    )


def fields() -> str:
    """Every field of a scenario."""
    head = (
        "# Every field of a scenario\n\nMade of the JSON Schema, which `paraSim list schema` prints. "
        "[Scenarios](scenarios.md) explains them.\n"
    )
    page = "\n".join([head, *_shapes(json_schema(), "scenario")])
    # A shape stands once on this page, so that its name can lead there.
    shapes = re.findall(r"^## `([A-Z]\w+)`$", page, re.MULTILINE)
    return re.sub(
        rf"^(\| .*? \| .*?)`({'|'.join(shapes)})`",
        lambda row: f"{row[1]}[`{row[2]}`](#{row[2].lower()})",
        page,
        flags=re.MULTILINE,
    )


def results() -> str:
    """Every JSON result."""
    head = (
        "# Every JSON result\n\nMade of the JSON Schemas, which `paraSim list schema --of NAME` prints. "
        "[For programs](machines.md) says\nwhich command writes which, and what is promised of them. "
        "A field in *italics* may be missing.\n"
    )
    parts = [head]
    for name in [*CONTRACTS, PROFILE]:
        whole = profile_schema() if name == PROFILE else contract_schema(name)
        parts += [f"## {name}\n", *_shapes(whole, name, level="###")]
    return "\n".join(parts)


def _shapes(whole: Schema, name: str, level: str = "##") -> Iterator[str]:
    """Yield a table for the whole, and one for each shape that it is made of."""
    yield from _shape(whole, name, level)
    for part, inner in whole.get("$defs", {}).items():
        yield from _shape(inner, part, level)


def _shape(shape: Schema, name: str, level: str) -> Iterator[str]:
    needed = shape.get("required", ())
    rows = [
        (f"`{field}`" if field in needed else f"*`{field}`*", _kind(one), _default(one), one.get("description", ""))
        for field, one in shape.get("properties", {}).items()
    ]
    if rows:
        yield f"{level} `{name}`\n"
        about = shape.get("description") if level == "##" else None
        if about:
            # The first paragraph: docstrings have the sources of what a shape says behind it.
            yield f"{' '.join(about.partition(chr(10) * 2)[0].split())}\n"
        yield _table(("field", "kind", "default", "meaning"), rows)


def _kind(field: Schema) -> str:
    if "$ref" in field:
        return f"`{field['$ref'].rpartition('/')[2]}`"
    if "enum" in field or "const" in field:
        return ", ".join(f"`{one}`" for one in field.get("enum", [field.get("const")]))
    if "anyOf" in field or "oneOf" in field:
        return " or ".join(dict.fromkeys(_kind(one) for one in field.get("anyOf", field.get("oneOf"))))
    kind = field.get("type", "anything")
    if kind == "array" and isinstance(field.get("items"), Mapping):
        return f"list of {_kind(field['items'])}"
    if kind == "object" and isinstance(field.get("additionalProperties"), Mapping):
        return f"mapping to {_kind(field['additionalProperties'])}"
    return kind if isinstance(kind, str) else " or ".join(kind)


def _default(field: Schema) -> str:
    value = field.get("default")
    # Of a shape, the defaults are those of its fields.
    return "" if value is None or isinstance(value, (dict, list)) else f"`{value}`"


def python() -> str:
    """Every public name of `parasim`, from its docstring."""
    head = (
        "# Python\n\nEvery public name of `parasim`, made of its docstring. Overrides are given as a mapping or as on "
        "the command line;\nwhat a user can mend is raised as `parasim.ParaSimError`.\n"
    )
    return "\n".join([head, *(_documented(name, getattr(parasim, name)) for name in parasim.__all__)])


def _documented(name: str, thing: Any) -> str:
    first, sections = _sections(inspect.getdoc(thing) or "")
    text = [f"## `{name}`\n"]
    if inspect.isfunction(thing):
        text.append(f"```python\n{_signature(name, thing)}\n```\n")
    text.append(f"{first}\n")
    for title, body in sections:
        if title in ("Parameters", "Attributes"):
            text.append(_table((title.removesuffix("s").lower(), "kind", "meaning"), _entries(body)))
        elif title in ("Returns", "Raises", "Yields"):
            text.append(_table((title.lower(), "when or what"), _outcomes(body)))
    return "\n".join(text)


def _signature(name: str, function: Any) -> str:
    parts, starred = [], False
    for one in inspect.signature(function).parameters.values():
        if one.kind is one.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        default = one.default
        # How a default object prints may hold an address.
        shown = "..." if not isinstance(default, (str, int, float, tuple, type(None))) else repr(default)
        parts.append(one.name if default is one.empty else f"{one.name}={shown}")
    one_line = f"parasim.{name}({', '.join(parts)})"
    return one_line if len(one_line) <= 88 else f"parasim.{name}(\n" + "".join(f"    {part},\n" for part in parts) + ")"


def _sections(doc: str) -> tuple[str, list[tuple[str, str]]]:
    """Divide a docstring into what comes first and its sections."""
    pieces = _SECTION.split(doc)
    return pieces[0].strip(), list(zip(pieces[1::2], pieces[2::2], strict=True))


def _entries(body: str) -> list[tuple[str, str, str]]:
    rows = []
    for block in re.split(r"\n(?=\S)", body.strip()):
        head, _, text = block.partition("\n")
        names, _, kind = head.partition(" : ")
        rows.append((f"`{names}`", kind, text))
    return rows


def _outcomes(body: str) -> list[tuple[str, str]]:
    return [
        (f"`{block.partition(chr(10))[0]}`", block.partition("\n")[2]) for block in re.split(r"\n(?=\S)", body.strip())
    ]


def _paragraphs(text: str) -> str:
    """Put examples, which stand in lines of their own, into code."""
    return re.sub(r"^Examples?: (.*)$", r"    \1", inspect.cleandoc(text), flags=re.MULTILINE)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


REFERENCES = {
    "command-line.md": command_line,
    "fields.md": fields,
    "results.md": results,
    "python.md": python,
}
"""Pages below docs/reference, and what makes them."""
