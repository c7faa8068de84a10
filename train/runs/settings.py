"""The `train:` section of a scenario: data, partition, learning rates, evaluation."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictBool, ValidationError, field_validator, model_validator

from parasim_core.sim.errors import ScenarioError, nearest
from parasim_core.sim.scenario import scenario
from parasim_core.sim.scenario.fields import Number, SchemaOfFields, Section, Whole, one_of
from parasim_core.sim.scenario.validation_messages import validation_message
from parasim_core.sim.workload.methods import METHODS, Trains

Rate = Annotated[Number, Field(gt=0)]


class DataSettings(Section):
    """What is trained on."""

    source: str = Field(default="word-problems", min_length=1)
    """`word-problems` (generated), `digits` (scikit-learn's images), a file, or a hub name."""
    format: (
        Literal["alpaca", "mathinstruct", "dolly", "gsm8k", "svamp", "messages", "sharegpt", "completion"] | None
    ) = None
    """Of a file whose columns do not tell."""
    columns: dict[Literal["prompt", "response", "label", "answer"], str] | None = None
    """Names of the columns of a file of any other kind."""
    held_out: str | None = None
    """File of held-out examples; some of the source's are held out if left out."""
    examples: Whole | None = Field(default=None, ge=1)
    """Use at most this many training examples."""
    held_out_examples: Whole = Field(default=200, ge=1)
    """Number of held-out examples."""


class PartitionSettings(Section):
    """Who has which examples."""

    kind: Literal["iid", "dirichlet"] = "dirichlet"
    """Evenly at random, or skewed by label."""
    alpha: Number = Field(default=0.5, ge=1e-9, le=1e9)
    """Concentration of the Dirichlet distribution: the smaller, the more skewed; the largest is as good as i.i.d."""
    labels: Literal["label", "clusters"] = "label"
    """Labels of the data, or clusters of their texts."""
    clusters: Whole = Field(default=10, ge=2)
    """Number of text clusters."""
    minimum: Whole = Field(default=8, ge=1)
    """Fewest examples of a client."""


class EvaluationSettings(Section):
    """How good the server's model is, and when that is measured."""

    every: Whole = Field(default=1, ge=1)
    """Rounds between held-out losses; the last round always has one."""
    accuracy_every: Whole | None = Field(default=None, ge=1)
    """Rounds between accuracies, which generate answers; after the last round only if left out."""
    answer_tokens: Whole | None = Field(default=None, ge=1)
    """Longest generated answer; as long as the longest held-out one if left out."""
    batch_size: Whole = Field(default=50, ge=1)
    """Held-out examples at a time."""


class PretrainingSettings(Section):
    """Central training on general text before anything is federated, so that the base is a pretrained model."""

    steps: Whole = Field(default=0, ge=0)
    """Steps; the demonstration's model, random before, takes 800 of 16 documents if the section is left out."""
    batch_size: Whole = Field(default=32, ge=1)
    learning_rate: Number = Field(default=2e-3, gt=0)


class CyclicSettings(Section):
    """What a client of FedCyBGD goes on from in its next turn; the defaults are those of the method's public code."""

    optimizer: Literal["kept", "fresh"] = "kept"
    """AdamW's state from its last turn, and `schedule` over all its turns; or both afresh in every turn."""
    unfetched: Literal["base", "last"] = "base"
    """What stands for blocks that others changed and it did not fetch: the base's values, or those it had last."""


RECIPE = (
    *("activation_checkpointing", "weights", "master_weights", "optimizer", "adapters", "attention", "loss", "kernels"),
    *("packing", "padded", "sharding"),
)
"""Fields of the section that say how a step is computed, whatever is learned."""


class TrainSettings(Section):
    """Everything that training takes beyond the simulator's scenario."""

    data: DataSettings = DataSettings()
    partition: PartitionSettings = PartitionSettings()
    learning_rate: Annotated[
        Rate | Annotated[dict[str, Rate], Field(min_length=1)],
        one_of("a number, or a mapping of methods to numbers", int, float, dict),
    ] = 1e-3
    """Local learning rate; one for all methods, or by method with `default` for the others."""
    weight_decay: Number = Field(default=0.0, ge=0)
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate within one local update; over all turns of a client that keeps its optimizer (`cyclic`)."""
    clip_norm: Number | None = Field(default=None, gt=0)
    accumulation: Whole = Field(default=1, ge=1)
    """Batches per optimizer step, which follows the mean loss over all their answer tokens."""
    global_learning_rate: Number = Field(default=1.0, gt=0)
    """Rate eta with which the server adds the mean."""
    mean: Literal["uniform", "weighted"] = "uniform"
    """Weight clients alike, or by their number of examples."""
    correction: StrictBool = True
    """ParaBlock's correction; off only to show why it is there."""
    cyclic: CyclicSettings = CyclicSettings()
    """FedCyBGD only."""
    error_feedback: StrictBool = False
    """Clients send later what compression left out."""
    stochastic_rounding: StrictBool = False
    """Quantize at random without bias instead of to the nearest level."""
    activation_checkpointing: Annotated[
        StrictBool | Literal["selective"],
        one_of("true, false or 'selective'", bool, words=("selective",)),
    ] = False
    """Less memory for more computing: recompute activations in the backward pass; `selective` keeps the results of
    attention and of every other matrix product."""
    weights: Literal["auto", "bfloat16", "float32", "float32-autocast", "nf4"] = "auto"
    """How the base weights are held: `auto` is bfloat16 on a GPU and float32 on a CPU; `float32-autocast` multiplies
    in bfloat16 (mixed precision); `nf4` is the 4-bit base of QLoRA, beside adapters."""
    master_weights: StrictBool | None = None
    """Whether AdamW works on a float32 copy of bfloat16 weights, or on these themselves, with bfloat16 moments; if left
    out, on a copy, but not in 8 bits or beside `nf4`."""
    optimizer: Literal["adamw", "adamw-8bit", "paged-adamw-8bit"] = "adamw"
    """AdamW, or that of bitsandbytes with moments of 8 bits; paged ones leave a GPU whose memory is full."""
    adapters: Literal["base", "float32"] = "base"
    """Precision of adapters: that of the weights beside them, or float32, multiplied in bfloat16."""
    attention: Literal["fused", "eager"] = "fused"
    """One kernel, where the model has one, or products, mask and softmax one by one."""
    loss: Literal["full", "chunked"] = "full"
    """Logits of all tokens at once, or of 1,024 at a time."""
    kernels: Literal["eager", "fused", "compiled"] = "eager"
    """One for each operator, hand-written ones (Liger, Unsloth; priced, not trained), or those of `torch.compile`."""
    packing: StrictBool = False
    """Put several examples into each sequence, up to its length; they do not attend to one another."""
    padded: StrictBool = False
    """For memory and predicted times: count the attention mask of batches whose sequences differ in length. Training
    pads where they do."""
    sharding: Literal["full", "none"] = "full"
    """For memory and predicted times of clients with several GPUs (`fleet[].gpus`): share the model out among them
    (FSDP), or let each hold all of it and exchange gradients (data parallel)."""
    evaluation: EvaluationSettings = EvaluationSettings()
    pretraining: PretrainingSettings | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it is trained; a GPU if there is one."""
    checkpoint_every: Whole = Field(default=1, ge=1)
    """Rounds between checkpoints."""

    @field_validator("learning_rate")
    @classmethod
    def _of_known_methods(cls, rates: float | dict[str, float]) -> float | dict[str, float]:
        known = (*METHODS, "default")
        for name in rates if isinstance(rates, dict) else ():
            if name not in known:
                raise ValueError(f"no method {name!r}; {nearest(name, known)}")
        return rates

    @model_validator(mode="after")
    def _of_one_recipe(self) -> Self:
        """Refuse combinations that mean nothing."""
        if self.master_weights and (self.optimizer != "adamw" or self.weights == "nf4"):
            other = f"optimizer {self.optimizer}" if self.optimizer != "adamw" else "weights nf4"
            raise ValueError(f"master_weights: is true, allowed with {other} is false: there is no float32 copy")
        if self.master_weights is not None and self.weights.startswith("float32"):
            given = str(self.master_weights).lower()
            raise ValueError(f"master_weights: is {given}, with weights {self.weights} it is to be left out: no copy")
        if self.packing and self.padded:
            raise ValueError("padded: is true, allowed with packing is false: packed sequences have a mask anyway")
        return self

    @property
    def master(self) -> bool:
        """Whether AdamW works on a float32 copy where the trained weights are narrower."""
        if self.master_weights is None:
            return self.optimizer == "adamw" and self.weights != "nf4"
        return self.master_weights

    def check_method(self, method: str) -> None:
        """Refuse what means nothing for a method.

        Raises
        ------
        ScenarioError
            If it trains 4-bit weights, or merges something into them.
        """
        beside = (Trains.LORA, Trains.LORA_B)
        if self.weights == "nf4" and METHODS[method].trains not in beside:
            allowed = ", ".join(name for name, other in METHODS.items() if other.trains in beside)
            raise ScenarioError(
                f"train.weights: is nf4 with method {method}, allowed with 4-bit weights are {allowed}: they are "
                "neither trained nor changed"
            )

    def rate(self, method: str) -> float:
        """Local learning rate of a method.

        Raises
        ------
        ScenarioError
            If rates are given by method, and neither this one nor a default is.
        """
        if not isinstance(self.learning_rate, dict):
            return self.learning_rate
        rate = self.learning_rate.get(method, self.learning_rate.get("default"))
        if rate is None:
            raise ScenarioError(f"train.learning_rate: none for {method}, and no default")
        return rate

    @classmethod
    def parse(cls, data: Any) -> TrainSettings:
        """Validate the section.

        Raises
        ------
        ScenarioError
            Naming each wrong field.
        """
        try:
            return cls.model_validate(data or {})
        except ValidationError as error:
            raise ScenarioError(f"train:{validation_message(error, cls)}") from None


def json_schema() -> dict[str, Any]:
    """JSON Schema of scenario files with their train section."""
    schema = scenario.json_schema()
    section = TrainSettings.model_json_schema(schema_generator=SchemaOfFields)
    schema["$defs"] |= section.pop("$defs")
    schema["$defs"]["Train"] = section
    described = schema["properties"]["train"]
    schema["properties"]["train"] = {**described, "anyOf": [{"$ref": "#/$defs/Train"}, {"type": "null"}]}
    return schema
