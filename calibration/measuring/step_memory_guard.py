"""A cautious estimate of the memory of a training step, to refuse on a CPU what would not fit.

It only guards the measuring machine: what a training run needs is another module's business.
"""

from __future__ import annotations

from parasim_core.calibration.profiles.cost_terms import work
from parasim_core.calibration.profiles.points import StepPoint
from parasim_core.sim.workload.architecture import Architecture

_FLOAT = 4
_COPIES_OF_TRAINED = 7
"""Held values, working copy, start, gradient, two moments, delta."""
_COPIES_OF_LOGITS = 5
"""Logits, their shifted or widened copy, log-probabilities and gradients of both."""
_VALUES_PER_LAYER = 40
"""Kept activations per token and layer, over the hidden size."""


def needed_bytes(architecture: Architecture, point: StepPoint) -> int:
    """Memory that a step takes beyond the model itself [B], more likely too much than too little.

    Parameters
    ----------
    architecture : Architecture
        The model, in float32.
    point : StepPoint
        The step.
    """
    amounts = work(architecture, point)
    trained = amounts["weights"] * 1e9 * _COPIES_OF_TRAINED
    logits = point.tokens * architecture.vocabulary_size * _COPIES_OF_LOGITS
    kept = point.tokens * amounts["layers_above"] * architecture.hidden_size * _VALUES_PER_LAYER
    scores = point.batch_size * architecture.attention_heads * point.sequence_length**2 * 4
    return int(_FLOAT * (trained + logits + kept + scores))
