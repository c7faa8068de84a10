"""What may be registered as a method."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from types import SimpleNamespace

import pytest

from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.protocols.synchronous import Synchronous
from parasim_core.sim.workload.methods import METHODS, Method, Trains, register


class Other(StrEnum):
    PROMPT = "prompt"


@pytest.mark.parametrize("trains", ["prompt", Other.PROMPT, "LORA", None, 7, ["prompt"]])
def test_a_method_that_trains_what_nobody_can_price_is_refused(trains: object):
    with pytest.raises(ScenarioError, match=r"method 'own': trains is .*(allowed are block|did you mean 'lora')"):
        register(Method("own", Synchronous, trains, "of a user"))  # type: ignore[arg-type]
    assert "own" not in METHODS
    with pytest.raises(ScenarioError):
        replace(METHODS["fedbcd"], trains=trains)  # type: ignore[arg-type]


@pytest.mark.parametrize("trains", list(Trains))
def test_its_plain_name_means_what_is_trained(trains: Trains):
    # A text is equal to its member and not the same: by identity it would be none of them.
    assert Method("own", Synchronous, trains.value, "of a user").trains is trains  # type: ignore[arg-type]


def test_what_only_looks_like_a_method_is_refused():
    alike = SimpleNamespace(name="own", shape=Synchronous, trains="prompt", summary="of a user")
    with pytest.raises(ScenarioError, match="only a Method"):
        register(alike)  # type: ignore[arg-type]
    assert "own" not in METHODS
