"""What whoever interrupts a long command is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from parasim.cli.progress import stages


@pytest.mark.parametrize(("held", "told"), [(None, ""), (".lock", ""), ("fedit/metrics.csv", "what was done is in ")])
def test_a_folder_is_named_when_something_is_in_it(held: str | None, told: str, tmp_path: Path):
    if held is not None:
        (tmp_path / held).parent.mkdir(exist_ok=True)
        (tmp_path / held).touch()
    with pytest.raises(KeyboardInterrupt) as interrupted, stages(tmp_path):
        raise KeyboardInterrupt
    assert str(interrupted.value).startswith(told)
    assert bool(str(interrupted.value)) == bool(told)
