"""The shipped profile of the paper's A100s is the fit to the paper's cells."""

from __future__ import annotations

from benchmarks.paper_profile import fit
from parasim_core.calibration.profiles.loading import read_profile


def test_the_shipped_profile_is_what_the_fit_gives():
    assert read_profile("paper-a100") == fit().model_dump(mode="json")
