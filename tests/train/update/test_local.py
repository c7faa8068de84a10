from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import GPT2Config, LlamaConfig

from parasim_core.sim.workload.architecture import from_config
from parasim_core.sim.workload.blocks import partition
from parasim_core.train.data.evaluate import IGNORED
from parasim_core.train.models.blocks import block_parameters, install
from parasim_core.train.models.building import random_model
from parasim_core.train.update.local import DivergedError, LocalSettings, TrainingError, train_locally
from tests.train.tiny import snapshot

CONFIG = LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2)
BATCHES = [
    dict.fromkeys(("input_ids", "labels"), tokens)
    for tokens in torch.randint(0, 32, (12, 2, 6), generator=torch.Generator().manual_seed(1))
]


def model_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return model(**batch).loss


class Line(nn.Module):
    """y = w x with the loss (w x - target)^2, small enough to train by hand; b is never used."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0], dtype=dtype))
        self.b = nn.Parameter(torch.tensor([5.0], dtype=dtype))
        self.dropout = nn.Dropout(0.5)


def square_loss(model: Line, batch: dict[str, Tensor]) -> Tensor:
    return ((model.w * batch["x"] - batch["target"]) ** 2).mean()


def point(x: float, target: float) -> dict[str, Tensor]:
    return {"x": torch.tensor([x]), "target": torch.tensor([target])}


def adamw(weight: float, gradients_at: list, rates: list[float], decay: float = 0.0, clip: float = math.inf) -> float:
    """AdamW as its paper writes it, in double precision: the reference for one weight."""
    first = second = 0.0
    for step, (gradient_at, rate) in enumerate(zip(gradients_at, rates, strict=True), start=1):
        gradient = gradient_at(weight)
        gradient *= min(1.0, clip / (abs(gradient) + 1e-6))
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        weight *= 1 - rate * decay
        weight -= rate * (first / (1 - 0.9**step)) / (math.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return weight


def test_one_step_by_hand():
    # w = 1, x = 2, target = 0: loss 4, gradient 2*2*(2-0) = 8. AdamW's first step is the rate times the sign:
    # w = 1 - 0.1 = 0.9, so delta = -0.1.
    line = Line()
    update = train_locally(line, {"w": line.w}, [point(2, 0)], square_loss, LocalSettings(0.1, steps=1))
    assert update.loss == 4.0
    assert update.delta["w"].item() == pytest.approx(-0.1, rel=1e-6)
    assert update.seconds > 0
    assert line.w.item() == 1.0


@settings(max_examples=50, deadline=None)
@given(
    points=st.lists(st.tuples(st.floats(0.5, 2), st.floats(-2, 2)), min_size=2, max_size=6),
    rate=st.floats(1e-4, 0.1),
    decay=st.sampled_from([0.0, 0.1]),
    schedule=st.sampled_from(["constant", "cosine"]),
    clip=st.sampled_from([None, 0.5]),
)
def test_steps_are_those_of_adamw(points, rate, decay, schedule, clip):
    steps = len(points)
    rates = [
        rate if schedule == "constant" else rate * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)
    ]
    gradients = [lambda w, x=x, target=target: 2 * x * (w * x - target) for x, target in points]
    expected = adamw(1.0, gradients, rates, decay, math.inf if clip is None else clip) - 1.0
    line = Line()
    plan = LocalSettings(rate, steps, weight_decay=decay, schedule=schedule, clip_norm=clip)
    update = train_locally(line, {"w": line.w}, [point(*one) for one in points], square_loss, plan)
    # float32 holds weights near 1 to 6e-8 per step; a gradient near zero may be off by that much, too, and
    # Adam divides by its own size: compared where the gradients are clearly not zero.
    if min(abs(gradient(1.0)) for gradient in gradients) > 0.5:
        assert update.delta["w"].item() == pytest.approx(expected, abs=2e-6 * steps)


def test_accumulation_follows_the_mean_loss():
    # Two batches per step: gradient of the mean = mean of the gradients = gradient of one batch of both.
    points = [(1.0, 0.5), (2.0, -1.0), (0.5, 3.0), (1.5, 0.0)]
    line = Line()
    apart = train_locally(
        line,
        {"w": line.w},
        [point(*one) for one in points],
        square_loss,
        LocalSettings(0.1, 2, accumulation=2),
    )
    pairs = [
        {"x": torch.tensor([a[0], b[0]]), "target": torch.tensor([a[1], b[1]])} for a, b in (points[:2], points[2:])
    ]
    together = train_locally(line, {"w": line.w}, pairs, square_loss, LocalSettings(0.1, 2))
    assert apart.delta["w"].item() == pytest.approx(together.delta["w"].item(), rel=1e-5)
    assert apart.loss == pytest.approx(together.loss, rel=1e-6)


def answers(*lengths: int, width: int = 8) -> dict[str, Tensor]:
    """Rows whose last so many tokens are answers, padded on the right to a width."""
    tokens = torch.randint(0, 32, (len(lengths), width), generator=torch.Generator().manual_seed(sum(lengths)))
    labels, mask = tokens.clone(), torch.ones_like(tokens)
    for row, length in enumerate(lengths):
        labels[row, :2] = labels[row, 2 + length :] = IGNORED
        mask[row, 2 + length :] = 0
    return {"input_ids": tokens, "attention_mask": mask, "labels": labels}


@pytest.mark.parametrize("cuts", [(1, 1), (1, 2), (2, 1), (1, 1, 1)])
def test_accumulated_batches_are_one_batch_where_answers_differ_in_length(cuts: tuple[int, ...]):
    # The loss of a step is the mean over all its answer tokens, sum l / sum n over batches with token losses l and
    # counts n; the mean of the batches' means would let a token of a short answer count for more.
    # Source: "Fixing Gradient Accumulation", the transformers team, October 2024.
    whole = [answers(*lengths[: sum(cuts)]) for lengths in ((1, 6, 3), (5, 2, 4))]
    pieces = [
        dict(zip(batch, piece, strict=True))
        for batch in whole
        for piece in zip(*(tensor.split(cuts) for tensor in batch.values()), strict=True)
    ]
    model = random_model(CONFIG, seed=0)
    part = dict(model.named_parameters())
    # With so large an epsilon AdamW's steps are proportional to the gradients: they show how large these are.
    plan = LocalSettings(1e-2, 2, epsilon=10.0)
    together = train_locally(model, part, whole, model_loss, plan)
    apart = train_locally(model, part, pieces, model_loss, replace(plan, accumulation=len(cuts)))
    # 1e-4 is far above what float32 rounds and far below the 1e-3 by which the mean of means is off here.
    assert apart.loss == pytest.approx(together.loss, rel=1e-4)
    one, other = (torch.cat([update.delta[name].flatten() for name in part]) for update in (apart, together))
    assert (one - other).norm() < 1e-4 * other.norm()


def test_images_count_one_each():
    line = Line()
    pairs = [{"x": torch.tensor([1.0, 2.0]), "target": torch.tensor([0.5, -1.0])}, point(0.5, 3.0)]
    whole = {name: torch.cat([pair[name] for pair in pairs]) for name in pairs[0]}
    apart = train_locally(line, {"w": line.w}, pairs, square_loss, LocalSettings(0.1, 1, epsilon=10.0, accumulation=2))
    together = train_locally(line, {"w": line.w}, [whole], square_loss, LocalSettings(0.1, 1, epsilon=10.0))
    assert apart.loss == pytest.approx(together.loss, rel=1e-6)
    assert apart.delta["w"].item() == pytest.approx(together.delta["w"].item(), rel=1e-5)


@pytest.mark.parametrize("what", ["block", "everything"])
def test_matches_a_plain_loop_bit_for_bit(what):
    model = random_model(CONFIG, seed=0)
    block = partition(from_config(CONFIG.to_dict(), "tiny"), 1)[1]
    part = block_parameters(model, block) if what == "block" else dict(model.named_parameters())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    update = train_locally(model, part, BATCHES, model_loss, LocalSettings(1e-3, steps=4))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    plain = random_model(CONFIG, seed=0).train().requires_grad_(False)
    trained = [parameter for name, parameter in plain.named_parameters() if name in part]
    for parameter in trained:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0, fused=True)
    losses = []
    for batch in BATCHES[:4]:
        loss = plain(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    after = dict(plain.named_parameters())
    assert list(update.delta) == list(part)
    assert all(torch.equal(update.delta[name], after[name].detach() - before[name]) for name in part)
    assert update.loss == pytest.approx(sum(losses) / 4, rel=1e-6)


def test_every_call_starts_afresh():
    model = random_model(CONFIG, seed=0).eval()
    part = block_parameters(model, partition(from_config(CONFIG.to_dict(), "tiny"), 1)[0])
    plan = LocalSettings(1e-3, steps=3)
    first = train_locally(model, part, BATCHES, model_loss, plan)
    train_locally(model, dict(model.named_parameters()), BATCHES[3:], model_loss, plan)
    again = train_locally(model, part, iter(BATCHES), model_loss, plan, warm_up=True)
    assert all(torch.equal(first.delta[name], again.delta[name]) for name in part)
    assert first.loss == again.loss
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_model_holds_what_it_held():
    # Neither the start nor what was trained; and a start is no different from values that the model holds.
    model = random_model(CONFIG, seed=0)
    part = block_parameters(model, partition(from_config(CONFIG.to_dict(), "tiny"), 2)[0])
    held = snapshot(part)
    start = {name: value + 0.01 for name, value in held.items()}
    untouched = {name: value.clone() for name, value in start.items()}
    plan = LocalSettings(1e-3, steps=2)
    from_start = train_locally(model, part, BATCHES, model_loss, plan, start=start)
    assert all(torch.equal(part[name], held[name]) for name in part)
    assert all(torch.equal(start[name], untouched[name]) for name in part)
    install(part, start)
    in_place = train_locally(model, part, BATCHES, model_loss, plan)
    assert all(torch.equal(from_start.delta[name], in_place.delta[name]) for name in part)


def test_bfloat16_trains_on_a_float32_master():
    # bfloat16 has 8 bits: next below 1 is 1 - 2^-8 = 0.9961. Ten steps of 1e-4 would each be rounded away there;
    # the master adds them up.
    line = Line(torch.bfloat16)
    batches = [point(2, 0)] * 10
    update = train_locally(line, {"w": line.w}, batches, square_loss, LocalSettings(1e-4, 10))
    assert update.delta["w"].dtype == torch.float32
    assert update.delta["w"].item() == pytest.approx(-1e-3, rel=1e-3)
    assert line.w.dtype == torch.bfloat16
    assert line.w.item() == 1.0


def test_bfloat16_master_starts_from_the_unrounded_start():
    # 1 + 2^-10 rounds to 1 in bfloat16. The delta counts from the unrounded value: two calls add up as one value.
    line = Line(torch.bfloat16)
    start = {"w": torch.tensor([1 + 2**-10])}
    update = train_locally(line, {"w": line.w}, [point(2, 0)], square_loss, LocalSettings(1e-2, 1), start=start)
    assert update.delta["w"].item() == pytest.approx(-1e-2, rel=1e-4)


def test_bfloat16_accumulates_gradients_in_float32():
    # Four batches with gradients 256, 0.5, -256, 0, a quarter of each counting: 64 + 0.125 is 64 in bfloat16, and
    # the sum would be zero. In float32 it is 0.125, and AdamW's first step is the rate against its sign.
    line = Line(torch.bfloat16)
    batches = [point(1.0, target) for target in (-127.0, 0.75, 129.0, 1.0)]
    update = train_locally(line, {"w": line.w}, batches, square_loss, LocalSettings(1e-3, 1, accumulation=4))
    assert update.delta["w"].item() == pytest.approx(-1e-3, rel=1e-4)


def test_part_that_the_loss_does_not_see_stays():
    line = Line()
    update = train_locally(line, {"w": line.w, "b": line.b}, [point(2, 0)], square_loss, LocalSettings(0.1, 1))
    assert update.delta["b"].item() == 0.0


def test_dropout_is_seeded_and_leaves_the_callers_random_state():
    model = random_model(GPT2Config(vocab_size=32, n_embd=16, n_layer=2, n_head=2, n_positions=8), seed=0)
    part = dict(model.transformer.h[1].named_parameters())
    plan = LocalSettings(1e-3, steps=2)
    state = torch.get_rng_state()
    one, same, other = (train_locally(model, part, BATCHES, model_loss, plan, seed=seed).loss for seed in (1, 1, 2))
    warmed = train_locally(model, part, BATCHES, model_loss, plan, seed=1, warm_up=True).loss
    assert one == same == warmed != other
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([0.0, math.nan, 0.0], "the loss is nan in step 2 of 3"),
        ([0.0, 0.0, 1e30], "the loss is inf in step 3 of 3"),
    ],
)
def test_divergence_is_named_and_leaves_the_model_as_it_was(targets, message):
    line = Line()
    batches = [point(1.0, target) for target in targets]
    with pytest.raises(DivergedError, match=message):
        train_locally(line, {"w": line.w}, batches, square_loss, LocalSettings(0.1, 3))
    assert line.w.item() == 1.0
    assert line.w.grad is None


def test_divergence_in_the_last_step_is_seen():
    # The loss sqrt|w - 1| is finite at w = 1, its gradient is not.
    line = Line()
    with pytest.raises(DivergedError, match="the delta is not finite after the last step"):
        train_locally(
            line,
            {"w": line.w},
            [point(1, 1)],
            lambda model, batch: (model.w - 1).abs().sqrt().sum(),
            LocalSettings(0.1, 1),
        )


def test_what_cannot_be_trained_is_refused():
    line = Line()
    plan = LocalSettings(0.1, steps=2, accumulation=2)
    with pytest.raises(TrainingError, match="nothing to train"):
        train_locally(line, {}, [point(1, 1)] * 4, square_loss, plan)
    with pytest.raises(TrainingError, match=r"needs 4 batches \(steps x accumulation\), got 3"):
        train_locally(line, {"w": line.w}, [point(1, 1)] * 3, square_loss, plan)


class Waits(TorchDispatchMode):
    """Counts values that Python reads: for each it would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*arguments, **(keywords or {}))


@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_only_wait_in_the_steps_is_for_the_attention_mask(accumulation):
    model = random_model(CONFIG, seed=0)
    tokens = torch.arange(8)[None]
    bare = {"input_ids": tokens, "labels": tokens}
    masked = bare | {"attention_mask": torch.ones_like(tokens)}
    waits = {}
    for name, batch in (("bare", bare), ("masked", masked)):
        for steps in (1, 4):
            local = LocalSettings(1e-3, steps=steps, accumulation=accumulation)
            with Waits() as seen:
                train_locally(model, dict(model.named_parameters()), [batch] * steps * accumulation, model_loss, local)
            waits[name, steps] = seen.count
    # Three steps more: no wait without a mask, one per forward pass with it.
    assert waits["bare", 4] == waits["bare", 1]
    assert waits["masked", 4] - waits["masked", 1] == 3 * accumulation
