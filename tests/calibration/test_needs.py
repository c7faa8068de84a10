"""Free memory: the machine's, or what a control group leaves of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from calibration import needs
from calibration.needs import available_bytes


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [
        # Of what is used, 50 are files that give way.
        ("600", "200", 450),
        ("600", "700", 0),
        # The group may have more than the machine, or no limit at all, or say nothing that is understood.
        ("9000", "200", 1000),
        ("max", "200", 1000),
        ("", "200", 1000),
    ],
)
def test_a_control_group_may_leave_less(
    limit: str, used: str, free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 50\nactive_file 7\n")
    monkeypatch.setattr(needs, "_GROUP", tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    assert available_bytes() == free


def test_without_control_groups_it_is_the_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(needs, "_GROUP", tmp_path / "absent")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    assert available_bytes() == 1000
