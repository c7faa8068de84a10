"""The page and the history tell what is found, and aims that are reached or missed."""

from __future__ import annotations

import csv
import io
import subprocess

import pytest

from parasim_core.sim.errors import OutputError
from validation import __main__ as command
from validation import history
from validation.contest import Standing, contest
from validation.history import COLUMNS, HISTORY, appended, changes, last
from validation.page import PAGE, contest_section, page, section
from validation.reference import KINDS, Figure, Reference, references


@pytest.fixture(scope="module")
def standings() -> list[Standing]:
    return contest()


def written_section(name: str) -> str:
    """The section of a reference as it stands on the page."""
    (own,) = [part for part in PAGE.read_text(encoding="utf-8").split("\n## ") if part.startswith(f"{name} (")]
    return f"## {own}"


def test_the_page_tells_what_is_found(standings: list[Standing]):
    # What is not quick is held against the history below, and recomputed by `make validate`.
    sections = {
        one.name: section(one, one.figures()) if one.quick else written_section(one.name) for one in references()
    }
    assert page(sections, contest_section(standings)) == PAGE.read_text(encoding="utf-8"), (
        "python -m validation --write"
    )


def test_the_history_ends_with_what_is_found(standings: list[Standing]):
    found = {one.name: one.figures() for one in references() if one.quick}
    found |= {f"formula of {one.name}": one.figures() for one in standings[1:]}
    assert changes(HISTORY.read_text(encoding="utf-8"), found) == []


def test_the_history_ends_with_what_the_page_tells_of_slow_references():
    told = last(HISTORY.read_text(encoding="utf-8"))
    slow = {one.name for one in references() if not one.quick}
    assert slow <= {reference for reference, _ in told}
    for (reference, figure), value in told.items():
        if reference in slow:
            name, unit = figure.removesuffix("]").split(" [")
            (row,) = [row for row in written_section(reference).split("\n") if row.startswith(f"| {name} | ")]
            assert row.split(" | ")[2] == f"{value} {unit}"


def test_the_page_is_short():
    assert len(PAGE.read_text(encoding="utf-8").split()) <= 900


def test_references_are_in_order_and_told_apart():
    found = references()
    assert [KINDS.index(one.kind) for one in found] == sorted(KINDS.index(one.kind) for one in found)
    assert len({one.name for one in found}) == len(found)
    for one in found:
        assert one.source


@pytest.mark.parametrize(
    ("figure", "reached", "aim"),
    [
        (Figure("error", 2.04, 3, most=2), False, "≤ 2 %: **missed**"),
        (Figure("error", 2.0, 3, most=2), True, "≤ 2 %"),
        (Figure("cells", 71, 75, unit="cells", decimals=0, least=71), True, "≥ 71 cells"),
        (Figure("cells", 70, 75, unit="cells", decimals=0, least=71), False, "≥ 71 cells: **missed**"),
        (Figure("error", 1.0, 3), None, "-"),
    ],
)
def test_aims(figure: Figure, reached: bool | None, aim: str):
    reference = Reference("one", "published", "Somebody.", lambda: [figure])
    assert figure.reached is reached
    assert section(reference, [figure]).rstrip("\n").endswith(f" {aim} |")


def test_noise_of_a_processor_is_not_told():
    one, other = (Figure("makespans", value, 12, decimals=7, most=1e-7) for value in (3.1e-14, -2e-15))
    assert one.told == other.told == "0.0000000"
    assert "below 1e-07 %" in section(Reference("one", "oracle", "It.", list), [one])


def test_only_what_changed_is_appended():
    first = {"one": [Figure("mean", 1.26, 3), Figure("largest", 4.0, 3)], "other": [Figure("mean", 9.0, 1)]}
    text = appended("", first, "aaaa", "2026-12-01")
    assert list(csv.reader(io.StringIO(text))) == [
        list(COLUMNS),
        ["aaaa", "2026-12-01", "one", "mean [%]", "1.3"],
        ["aaaa", "2026-12-01", "one", "largest [%]", "4.0"],
        ["aaaa", "2026-12-01", "other", "mean [%]", "9.0"],
    ]
    # 1.34 is told as 1.3, too.
    assert appended(text, first | {"one": [Figure("mean", 1.34, 3)]}, "bbbb", "2026-12-02") == text
    longer = appended(text, {"one": [Figure("largest", 3.0, 4)]}, "bbbb", "2026-12-02")
    assert longer.removeprefix(text) == "bbbb,2026-12-02,one,largest [%],3.0\n"
    # Back again is a change, too.
    assert changes(longer, first) == [("one", first["one"][1])]


def test_the_commit_tells_of_changes_on_top(tmp_path, monkeypatch):
    def git(*arguments: str) -> None:
        subprocess.run(("git", "-c", "user.name=n", "-c", "user.email=e@x", *arguments), cwd=tmp_path, check=True)

    git("init", "--quiet")
    (tmp_path / "docs" / "explanation").mkdir(parents=True)
    (tmp_path / "code.py").write_text("1")
    git("add", "code.py")
    git("commit", "--quiet", "--message", "first", "--date", "2026-01-01")
    monkeypatch.setattr(history, "ROOT", tmp_path)
    name, date = history.commit()
    assert len(name) == 10
    assert len(date) == 10
    # What the command writes itself is no change.
    (tmp_path / "docs" / "explanation" / "validation.md").write_text("page")
    assert history.commit() == (name, date)
    (tmp_path / "code.py").write_text("2")
    assert history.commit() == (f"{name}+", date)


def test_without_a_checkout_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(history, "ROOT", tmp_path)
    with pytest.raises(OutputError, match="no checkout"):
        history.commit()
    assert command.main(["--write"]) == 2
    assert "no checkout" in capsys.readouterr().err


def test_the_command_tells_what_is_out_of_date_and_writes_it(tmp_path, monkeypatch, capsys):
    reference = Reference("one", "measured", "Somebody.", lambda: [Figure("mean", 1.0, 3, most=0.5)])
    monkeypatch.setattr(command, "references", lambda: (reference,))
    monkeypatch.setattr("validation.page.references", lambda: (reference,))
    monkeypatch.setattr(history, "commit", lambda: ("aaaa", "2026-12-01"))
    monkeypatch.setattr(history, "ROOT", tmp_path)
    monkeypatch.setattr(history, "HISTORY", tmp_path / "history.csv")
    monkeypatch.setattr(command, "PAGE", tmp_path / "page.md")
    assert command.main([]) == 1
    assert "one: mean [%] is 1.0 now" in capsys.readouterr().out
    assert command.main(["--write"]) == 0
    # A missed aim is told, and no reason to fail.
    assert command.main([]) == 0
    assert "MISSED" in capsys.readouterr().out
    assert (tmp_path / "history.csv").read_text().count("\n") == 1 + 1 + 3 * 7
    (tmp_path / "page.md").write_text("old")
    assert command.main([]) == 1
    assert "page.md" in capsys.readouterr().out
