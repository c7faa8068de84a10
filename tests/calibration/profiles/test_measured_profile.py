"""A measured profile predicts what it covers, refuses the rest, and is a file that anyone can check."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from parasim_core.calibration.measuring.calibrate import fitted
from parasim_core.calibration.profiles.cost_terms import full_pass_work, work
from parasim_core.calibration.profiles.loading import load_profile, read_profile, shipped_profiles
from parasim_core.calibration.profiles.measured import MeasuredProfile
from parasim_core.calibration.profiles.measured_file import (
    MeasuredFile,
    MergeSample,
    ModelShape,
    StepSample,
    profile_schema,
)
from parasim_core.calibration.profiles.merging import fit_merging
from parasim_core.calibration.profiles.points import StepPoint
from parasim_core.sim.engine.costs import Costs
from parasim_core.sim.engine.simulate import prepare, simulate
from parasim_core.sim.errors import CostError
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.architecture import Architecture, architecture, from_config
from parasim_core.sim.workload.methods import Trains
from tests.calibration.synthetic import ARCHITECTURE, CONFIG, PRICES, VALUES, measured_file

FILE = fitted(measured_file(), ARCHITECTURE)
DATA: dict[str, Any] = json.loads(json.dumps(FILE.model_dump(mode="json")))
PROFILE = MeasuredProfile(FILE)


def setup_of(architecture: Architecture = ARCHITECTURE, **fields: Any) -> Any:
    data = {
        "model": "tiny",
        "method": "fedbcd",
        "blocks": {"layers": 2},
        "local": {"steps": 10, "batch_size": 4, "sequence_length": 32},
        "lora": {"rank": 4, "targets": ["v_proj", "q_proj"]},
        "fleet": [{"count": 2}, {"count": 1, "speed": 0.5}],
        "compute": {"profile": "synthetic"},
    }
    return prepare(Scenario.parse(data | fields), architecture)


def costs_of(**fields: Any) -> Costs:
    return PROFILE.costs(setup_of(**fields))


@pytest.mark.parametrize(
    ("method", "trains"),
    [("fedit", Trains.LORA), ("ffa-lora", Trains.LORA_B), ("full-ft", Trains.EVERYTHING)],
)
def test_an_update_is_its_steps_and_what_comes_once(method: str, trains: Trains):
    adapter = {} if trains is Trains.EVERYTHING else {"rank": 4, "targets": "q_proj+v_proj"}
    amounts = work(ARCHITECTURE, StepPoint(trains=trains, batch_size=4, sequence_length=32, **adapter))
    expected = 10 * PRICES.step(amounts) + PRICES.phase("update", amounts)
    assert costs_of(method=method).local_update(0, 0, None).seconds == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("batches", [2, 5])
def test_several_batches_a_step_repeat_the_passes_and_not_the_optimizer(batches: int):
    amounts = work(ARCHITECTURE, StepPoint(trains=Trains.EVERYTHING, batch_size=4, sequence_length=32))
    optimizer = VALUES["optimizer"] * amounts["weights"]
    step = batches * (PRICES.step(amounts) - optimizer) + optimizer
    costs = costs_of(method="full-ft", train={"accumulation": batches})
    expected = 10 * step + PRICES.phase("update", amounts)
    assert costs.local_update(0, 0, None).seconds == pytest.approx(expected, rel=1e-3)
    assert any("train.accumulation" in note for note in costs.provenance()["notes"])  # type: ignore[attr-defined]


def test_blocks_cost_what_their_place_costs_and_slow_clients_take_longer():
    setup = setup_of()
    costs = PROFILE.costs(setup)
    assert setup.blocks is not None
    for block in setup.blocks:
        point = StepPoint(
            trains=Trains.BLOCK, batch_size=4, sequence_length=32, first_layer=block.first_layer, layers=2
        )
        amounts = work(ARCHITECTURE, point)
        expected = 10 * PRICES.step(amounts) + PRICES.phase("update", amounts)
        assert costs.local_update(0, 0, block).seconds == pytest.approx(expected, rel=1e-3)
        assert costs.local_update(2, 0, block).seconds == pytest.approx(2 * expected, rel=1e-3)
        assert costs.local_update(0, 0, block).serial == 0
    bottom, top = setup.blocks[0], setup.blocks[-1]
    assert costs.local_update(0, 0, bottom).seconds > costs.local_update(0, 0, top).seconds


def test_what_the_scenario_says_cannot_overlap():
    given = setup_of(compute={"profile": "synthetic", "non_overlapping": "1ms"})
    assert given.blocks is not None
    cost = PROFILE.costs(given).local_update(2, 0, given.blocks[0])
    assert cost.serial == pytest.approx(2e-3)


def test_a_full_pass_has_all_gradients_and_no_optimizer():
    amounts = full_pass_work(ARCHITECTURE, 4, 32)
    expected = PRICES.step(amounts) - VALUES["optimizer"] * amounts["weights"]
    assert costs_of().full_pass(0) == pytest.approx(expected, rel=1e-3)
    blocks = {"layers": 2, "schedule": "gradient", "gradient_pass": "3s"}
    assert costs_of(blocks=blocks).full_pass(2) == 6
    unknown = costs_of(blocks={"layers": 2, "schedule": "gradient"})
    assert any("full pass" in note for note in unknown.provenance()["notes"])  # type: ignore[attr-defined]


def test_a_run_says_where_its_numbers_come_from():
    setup = setup_of()
    provenance = simulate(setup, PROFILE.costs(setup)).provenance["compute"]
    assert isinstance(provenance, dict)
    assert provenance["origin"] == "fitted"
    assert provenance["device"] == "test chip"
    assert provenance["date"] == "2026-01-01 00:00 UTC"
    assert provenance["held_out"]["points"] == FILE.held_out.points  # type: ignore[union-attr]


OTHER = from_config(CONFIG | {"num_hidden_layers": 9}, "other")
UNCOVERED: list[tuple[dict[str, Any], str]] = [
    ({"local": {"batch_size": 9, "sequence_length": 32}}, "batch sizes 1 to 8"),
    ({"local": {"batch_size": 4, "sequence_length": 65}}, "sequence lengths 8 to 64"),
    ({"blocks": {"layers": 8}}, "blocks of 1 to 4 layers"),
    ({"blocks": {"layers": 0.5}}, "blocks of 1 to 4 layers"),
    ({"fleet": [{"device": "h100"}]}, "device h100; it covers test chip"),
    ({"method": "fedit", "lora": {"rank": 5, "targets": ["q_proj", "v_proj"]}}, "lora of rank 4 on q_proj+v_proj"),
    ({"method": "fedit", "lora": {"rank": 4, "targets": "all-linear"}}, "lora of rank 4 on q_proj+v_proj"),
    ({"method": "flora"}, "merging stacks of rank 12 on q_proj+v_proj; merging was not measured"),
    ({"model": OTHER}, "other; it covers models of the shape of tiny"),
]


@pytest.mark.parametrize(("fields", "covered"), UNCOVERED, ids=lambda case: str(case)[:40])
def test_what_was_not_measured_is_an_error_that_says_how(fields: dict[str, Any], covered: str):
    fields = dict(fields)
    model = fields.pop("model", ARCHITECTURE)
    with pytest.raises(CostError) as error:
        PROFILE.costs(setup_of(model, **fields))
    assert covered in str(error.value)
    assert "paraSim calibrate --model" in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("activation_checkpointing", True),
        ("activation_checkpointing", "selective"),
        ("optimizer", "adamw-8bit"),
        ("weights", "float32-autocast"),
        ("attention", "eager"),
        ("loss", "chunked"),
        ("kernels", "compiled"),
        ("packing", True),
        ("padded", True),
    ],
)
def test_steps_by_another_recipe_are_not_covered(field: str, value: Any):
    with pytest.raises(CostError, match=rf"does not cover train\.{field}: "):
        costs_of(train={field: value})


def test_what_is_said_as_it_is_by_default_is_covered():
    # The profile's weights are float32, of which there is no copy; adapters are too.
    for train in ({"weights": "float32"}, {"master_weights": True}, {"adapters": "float32"}, {"optimizer": "adamw"}):
        assert costs_of(train=train, method="fedit").local_update(0, 0, None).seconds > 0


def test_the_named_command_measures_the_old_and_the_new():
    with pytest.raises(CostError, match="--batch-size 1,2,4,8,16 --sequence-length 8,16,32,64 --layers 1,2,4"):
        costs_of(local={"batch_size": 16, "sequence_length": 32})


def test_the_named_command_is_for_the_same_device_and_any_copy_of_the_model():
    # A config.json of the profile's shape, somewhere else: its plan counts all the same, adapters and all.
    path = "my models/config.json"
    own = setup_of(from_config(CONFIG, path), model=path, local={"batch_size": 16, "sequence_length": 32})
    with pytest.raises(CostError) as error:
        PROFILE.costs(own)
    assert (
        "`paraSim calibrate --model 'my models/config.json' --device cpu --batch-size 1,2,4,8,16 "
        "--sequence-length 8,16,32,64 --layers 1,2,4 --rank 4 --targets q_proj+v_proj --threads 1 --out profile.json`"
    ) in str(error.value)


def test_of_another_device_the_command_is_for_that_one():
    with pytest.raises(CostError) as error:
        costs_of(fleet=[{"device": "h100"}])
    command = str(error.value).split("`")[1]
    assert "--device cuda" in command
    assert "--threads" not in command
    assert command.endswith("--out profile.json  # on h100 itself")
    with pytest.raises(CostError, match=r"--device cpu .*--out profile\.json  # on phone itself"):
        costs_of(fleet=[{"device": "phone"}])


def test_no_rank_is_advised_that_calibrate_refuses():
    # The model is 16 wide.
    with pytest.raises(CostError, match="--rank 4,16 --targets"):
        costs_of(method="fedit", lora={"rank": 32})


def test_a_plan_without_adapters_stays_without():
    bare = MeasuredProfile(FILE.model_copy(update={"plan": FILE.plan.model_copy(update={"ranks": (), "targets": ()})}))
    with pytest.raises(CostError, match="--layers 1,2,4 --rank '' --threads 1"):
        bare.costs(setup_of(local={"batch_size": 16, "sequence_length": 32}))


def test_blocks_of_one_layer_are_in_the_singular():
    with pytest.raises(CostError, match="block of 1 layer from"):
        costs_of(blocks={"layers": 1}, local={"batch_size": 16, "sequence_length": 32})


def test_merging_is_added_to_the_file_that_there_is():
    with pytest.raises(CostError) as error:
        costs_of(method="flora")
    assert "`paraSim calibrate --model tiny`, run on that file, adds it" in str(error.value)
    assert "profile.json" not in str(error.value)


def test_the_same_shape_under_another_name_is_covered():
    assert PROFILE.costs(setup_of(from_config(CONFIG, "my-copy"))).full_pass(0) > 0


def test_a_named_device_is_the_profiles_in_any_capitals():
    assert costs_of(fleet=[{"device": "Test Chip"}]).full_pass(0) > 0


def test_what_did_not_fit_into_memory_is_refused():
    failed = StepSample(
        point=StepPoint(trains=Trains.BLOCK, batch_size=4, sequence_length=16, first_layer=4, layers=2),
        role="fit",
        fits=False,
        reason="out of memory",
    )
    profile = MeasuredProfile(FILE.model_copy(update={"samples": (*FILE.samples, failed)}))
    assert profile.costs(setup_of(local={"batch_size": 2, "sequence_length": 32}))
    with pytest.raises(CostError, match="memory of test chip"):
        profile.costs(setup_of())


def test_an_interrupted_profile_says_how_to_go_on():
    with pytest.raises(CostError, match="`paraSim calibrate --model tiny`"):
        MeasuredProfile(measured_file())


def test_a_file_is_read_as_it_was_written(tmp_path: Path):
    (tmp_path / "p.json").write_text(json.dumps(DATA))
    profile = load_profile(str(tmp_path / "p.json"))
    assert isinstance(profile, MeasuredProfile)
    assert profile.file == FILE


def test_files_meet_the_published_schema():
    jsonschema.validate(DATA, profile_schema())
    for key in ("device", "versions", "date", "command", "model", "samples", "fit", "held_out"):
        assert key in profile_schema()["required"]


def _spoilt(path: list[Any], value: Any) -> dict[str, Any]:
    data = copy.deepcopy(DATA)
    place: Any = data
    for part in path[:-1]:
        place = place[part]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return data


BAD: list[tuple[list[Any], Any, str]] = [
    (["kind"], "guessed", "unknown kind 'guessed'"),
    (["extra"], 1, "unknown field"),
    (["device"], None, "device: is missing"),
    (["samples", 0, "step_s"], -1.0, "must be at least 0"),
    (["samples", 0, "step_s"], 1e12, "step_s"),
    (["samples", 0, "repeats"], 7, "repeats: 7, but there are 3 visits"),
    (["samples", 0, "point", "trains"], "luck", "samples"),
    (["samples", 0, "point", "batch_size"], 0, "batch_size"),
    (["fit", "coefficients", "optimizer", "value"], -0.5, "optimizer.value"),
    (["fit", "coefficients", "optimizer"], None, "optimizer"),
    (["fit", "coefficients", "magic"], {"value": 1.0, "unit": "s", "meaning": ""}, "magic"),
    (["fit", "coefficients", "optimizer", "unit"], "ms per 1e9 weights", "must be 's per 1e9 weights'"),
    (["fit", "undetermined", "optimizer"], [], "undetermined.optimizer"),
    (["fit", "undetermined", "backward_adapter_values"], ["magic"], "undetermined.backward_adapter_values"),
    (["fit", "form"], "product", "form"),
    (["samples"], [], "samples: must hold what the fit is from"),
    (["model", "dtype"], "float8", "dtype: must be 'bfloat16' or 'float32'"),
    (["model", "name"], "x" * 300, "model.name"),
    (["command"], "paraSim \x1b[2J", "command: must be one line of printable text"),
    (["command"], "x" * 3000, "command"),
    (["date"], "yesterday", "date: "),
    (["date"], "2026-1-31 9:30 UTC", "date"),
    (["date"], "2026-13-31 09:30 UTC", "date"),
]
OUT_OF_BOUNDS: list[tuple[list[Any], Any]] = [
    (["device", "threads"], -1),
    (["model", "parameters"], -1),
    (["samples", 0, "step_s"], -1.0),
    (["samples", 0, "step_s"], 1e12),
    (["samples", 0, "point", "batch_size"], 0),
    (["samples", 0, "point", "layers"], 0),
    (["samples", 0, "point", "rank"], 0),
    (["samples", 0, "visits", 0, "head"], -1e-9),
    (["fit", "coefficients", "optimizer", "value"], -0.5),
    (["held_out", "median_error_pct"], -1),
    (["held_out", "batch_size"], -1),
    (["plan", "batch_sizes"], [0]),
    (["plan", "sequence_lengths"], [10**9]),
    (["plan", "layers"], [-1]),
    (["plan", "ranks"], [-4]),
    (["plan", "seed"], -1),
    (["date"], "yesterday"),
]


@pytest.mark.parametrize(("path", "value"), OUT_OF_BOUNDS, ids=lambda case: str(case)[:40])
def test_the_schema_refuses_what_the_reader_refuses(path: list[Any], value: Any):
    data = _spoilt(path, value)
    assert not jsonschema.Draft202012Validator(profile_schema()).is_valid(data)
    with pytest.raises(CostError):
        MeasuredFile.parse(data, "spoilt")


@pytest.mark.parametrize(("path", "value", "message"), BAD, ids=lambda case: str(case)[:40])
def test_a_file_that_is_not_understood_is_refused(tmp_path: Path, path: list[Any], value: Any, message: str):
    (tmp_path / "p.json").write_text(json.dumps(_spoilt(path, value)))
    with pytest.raises(CostError) as error:
        load_profile(str(tmp_path / "p.json"))
    assert message in str(error.value)


@pytest.mark.parametrize("text", ['{"kind": "measured", "kind": "published"}', '{"kind": NaN}', "[" * 10_000, "[]", ""])
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, text: str):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(CostError):
        load_profile(str(tmp_path / "p.json"))


MEASURED = [name for name in shipped_profiles() if read_profile(name)["kind"] == "measured"]


@pytest.mark.parametrize("name", MEASURED)
def test_shipped_profiles_are_what_their_samples_give(name: str):
    data = read_profile(name)
    jsonschema.validate(data, profile_schema())
    file = MeasuredFile.parse(data, name)
    model = from_config(file.model.config, file.model.name)
    assert file.model.shape == ModelShape.of(model)
    assert file.merging is not None
    again = fitted(file, model)
    merging = fit_merging(file.merging.samples, model)
    for found, shipped in ((again.fit, file.fit), (merging, file.merging)):
        assert found is not None
        assert shipped is not None
        assert found.undetermined == shipped.undetermined
        for term, coefficient in shipped.coefficients.items():
            assert found.coefficients[term].value == pytest.approx(coefficient.value, rel=1e-4, abs=1e-9)
    assert again.held_out is not None
    assert file.held_out is not None
    # Errors are rounded to hundredths of a per cent, and rounding may turn over.
    assert again.held_out.first_layers == file.held_out.first_layers
    held, shipped_held = (one.model_dump(exclude={"first_layers"}) for one in (again.held_out, file.held_out))
    assert held == pytest.approx(shipped_held, abs=0.011)


def test_the_shipped_profile_of_smollm2_covers_the_catalogues_model():
    file = load_profile("smollm2-135m-cpu")
    assert isinstance(file, MeasuredProfile)
    assert file.file.model.shape == ModelShape.of(architecture("smollm2-135m"))


# 8 layers of q (16 x 16) and v (8 x 16): 8 x (256 + 128) weights, 2 operations each and unit of rank.
PRODUCTS = 2 * 8 * (256 + 128) * 1e-9


def merge(rank: int) -> float:
    """Merging that takes 1 ms per module and 2 s per 1e9 operations."""
    return 0.016 + 2 * PRODUCTS * rank


def with_merging(largest: int = 12) -> MeasuredFile:
    samples = [
        MergeSample(targets="q_proj+v_proj", rank=rank, role=role, seconds=(merge(rank),))
        for rank, role in [(1, "fit"), (2, "held-out"), (largest, "fit")]
    ]
    return FILE.model_copy(update={"merging": fit_merging(samples, ARCHITECTURE)})


def test_a_client_of_flora_trains_its_adapter_and_merges_what_arrived():
    # Clients of rank 4. Client 0 is there in rounds 0, 2 and 3: nothing to merge in round 0, the stacks of rounds 0
    # (two clients) and 1 (one) in round 2, and that of round 2 (all three) in round 3.
    participation = {"rounds": [[0, 1], [1], [0, 1, 2], [0, 2]]}
    costs = MeasuredProfile(with_merging()).costs(setup_of(method="flora", rounds=4, participation=participation))
    alone = costs_of(method="fedit").local_update(0, 0, None).seconds
    for round, seconds in {0: 0.0, 2: merge(8) + merge(4), 3: merge(12)}.items():
        assert costs.local_update(0, round, None).seconds == pytest.approx(alone + seconds, rel=1e-4)
    # Client 2, half as fast, was never there before round 2.
    late = costs.local_update(2, 2, None).seconds
    assert late == pytest.approx(2 * (alone + merge(8) + merge(4)), rel=1e-4)
    assert "merges the stacks" in str(costs.provenance()["notes"])


def test_everyone_merges_every_round():
    costs = MeasuredProfile(with_merging()).costs(setup_of(method="flora", rounds=3))
    first, second, third = (costs.local_update(0, round, None).seconds for round in range(3))
    assert second - first == pytest.approx(merge(12), rel=1e-3)
    assert third == second


def test_larger_stacks_than_measured_are_not_covered():
    with pytest.raises(CostError, match=r"rank 12 .* rank up to 8"):
        MeasuredProfile(with_merging(largest=8)).costs(setup_of(method="flora"))


def test_merging_survives_the_file_and_may_be_missing():
    data = json.loads(json.dumps(with_merging().model_dump(mode="json")))
    assert MeasuredFile.parse(data, "here") == with_merging()
    jsonschema.validate(data, profile_schema())
    older = {key: value for key, value in data.items() if key != "merging"}
    assert MeasuredFile.parse(older, "here").merging is None
    del data["merging"]["coefficients"]["merge_weights"]
    with pytest.raises(CostError, match="merge_weights"):
        MeasuredFile.parse(data, "here")


def test_a_profile_is_parsed_once_as_long_as_its_file_stays_the_same(tmp_path: Path):
    path = tmp_path / "own.json"
    data = read_profile("demo-cpu")
    path.write_text(json.dumps(data))
    first = load_profile(str(path))
    assert load_profile(str(path)) is first
    path.write_text(json.dumps(data | {"name": "another name"}))
    assert load_profile(str(path)).name == "another name"
    path.unlink()
    with pytest.raises(CostError, match="no profile"):
        load_profile(str(path))
