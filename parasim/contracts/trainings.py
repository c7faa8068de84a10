"""Shapes of what `paraSim train` and `paraSim evaluate` say."""

from __future__ import annotations

from parasim.contracts.shapes import OfScenario, Stamped
from parasim_core.sim.scenario.fields import Section


class Quality(Section):
    """How good a model is on held-out examples."""

    eval_loss: float
    """Mean loss [nats] per answer token, of images per image."""
    accuracy: float | None
    """Fraction that is right; null if it was not measured."""


class TrainedMethod(Quality):
    """What training with one method gave."""

    method: str
    rounds: int
    wall_clock_s: float
    """On the simulated clock [s]."""
    compute_s: float
    """Of the mean client [s], like the next one."""
    exposed_communication_s: float
    uploaded_bytes: float
    """By all clients [B]."""
    downloaded_bytes: float
    """By all clients [B]."""


class TrainResult(OfScenario):
    """What `paraSim train --format json` prints, and `training.json` holds; `scenario` is the first method's."""

    base: Quality
    """Before anything is federated."""
    methods: list[TrainedMethod]
    """After the last round."""
    notes: list[str]
    """For people, a sentence each."""


class Cut(Section):
    """What a sequence length costs."""

    examples: int
    truncated: int
    """Examples kept with a part of their answer."""
    dropped: int
    """Examples left out, as their prompt alone fills the sequence."""
    answer_tokens: int
    lost_answer_tokens: int


class Score(Section):
    """How good one model is."""

    model: str
    examples: int
    loss: float
    """Mean loss [nats] per answer token, of images per image."""
    perplexity: float
    exact_match: float | None
    """Fraction whose generated answer is right; null if none can be checked."""
    sequence_length: int | None
    """[tokens]; null for images."""
    truncation: Cut | None


class EvaluateResult(Stamped):
    """What `paraSim evaluate --format json` prints."""

    scores: list[Score]
