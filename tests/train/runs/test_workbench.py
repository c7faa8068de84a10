"""What all methods start from: data that is split once, digests that tell data apart, and what is refused."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import parasim
from parasim_core.sim.errors import ParaSimError
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.train.runs.fingerprint import contents
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.runs.workbench import Workbench, build, device_of
from parasim_demonstration.models import demonstration_config, demonstration_tokenizer
from parasim_demonstration.word_problems import word_problems
from tests.train.tiny import CONFIG

EVENLY = {"kind": "iid"}


def built(train: dict[str, Any] | None = None, **fields: Any) -> Workbench:
    settings = TrainSettings.parse(
        {"data": {"examples": 60, "held_out_examples": 10}, "partition": {"minimum": 2}} | (train or {})
    )
    local = {"steps": 2, "batch_size": 4, "sequence_length": 48}
    scenario = Scenario.parse({"model": "demo", "fleet": [{"count": 3}], "local": local} | fields)
    return build(scenario, settings)


def problems(path: Path, count: int) -> str:
    return written(path, [{"instruction": f"say {n}", "output": f"{n} it is"} for n in range(count)])


def written(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_demonstration_is_the_model_that_it_says_it_is():
    bench = built()
    config = demonstration_config()
    assert len(bench.tokenizer) == len(demonstration_tokenizer()) == config.vocab_size
    assert bench.architecture.parameters == sum(parameter.numel() for parameter in bench.model.parameters())
    assert len(bench.architecture.layers) == config.num_hidden_layers


def test_calibration_means_the_same_demonstration():
    from parasim_core.calibration.measuring.configuration import model_config
    from parasim_core.train.models.architecture import counted

    assert counted("demo", model_config("demo")).parameters == built().architecture.parameters


def test_every_example_has_one_owner():
    # 60 examples over 3 clients: each in exactly one share, none lost.
    bench = built()
    owned = [index for share in bench.partition.clients for index in share]
    assert sorted(owned) == list(range(60))
    assert list(bench.task.examples) == [len(share) for share in bench.partition.clients]
    assert len(bench.held_out) == 10


def test_even_shares_differ_by_one_at_most():
    sizes = built({"partition": {"kind": "iid"}}, fleet=[{"count": 7}]).task.examples
    assert sum(sizes) == 60
    assert max(sizes) - min(sizes) <= 1


def test_the_digest_tells_data_apart_and_nothing_else():
    first = built().data_digest
    assert built().data_digest == first
    assert built({"partition": {"kind": "iid"}}).data_digest == first
    assert built(seed=1).data_digest != first
    assert built({"data": {"examples": 61, "held_out_examples": 10}}).data_digest != first


def test_a_seed_gives_the_same_weights_and_leaves_torch_alone():
    before = torch.random.get_rng_state()
    one, other = built(seed=3), built(seed=3)
    assert torch.equal(before, torch.random.get_rng_state())
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_an_update_draws_its_steps_times_its_accumulation():
    bench = built({"accumulation": 3, "data": {"examples": 60, "held_out_examples": 10}})
    assert len(list(bench.task.batches(0, 0))) == 2 * 3


def test_held_out_examples_are_no_training_examples(tmp_path: Path):
    source = problems(tmp_path / "data.jsonl", 30)
    data = {"source": source, "held_out_examples": 5}
    bench = built({"data": data, "partition": EVENLY}, model=saved(tmp_path / "model"))
    assert len(bench.held_out) == 5
    assert sum(bench.task.examples) == 25


def test_a_file_of_held_out_examples(tmp_path: Path):
    source, held_out = problems(tmp_path / "data.jsonl", 30), problems(tmp_path / "held.jsonl", 8)
    data = {"source": source, "held_out": held_out, "held_out_examples": 6}
    bench = built({"data": data, "partition": EVENLY}, model=saved(tmp_path / "model"))
    assert [example.prompt for example in bench.held_out] == [f"say {n}" for n in range(6)]
    assert sum(bench.task.examples) == 30


def test_too_few_examples_to_hold_some_out(tmp_path: Path):
    source = problems(tmp_path / "data.jsonl", 5)
    with pytest.raises(ParaSimError, match=r"train\.data\.held_out_examples"):
        built({"data": {"source": source, "held_out_examples": 5}})


def test_data_without_labels_are_not_skewed_by_them(tmp_path: Path):
    source = problems(tmp_path / "data.jsonl", 30)
    with pytest.raises(ParaSimError, match="have no labels") as error:
        built({"data": {"source": source, "held_out_examples": 5}})
    assert "train.partition.labels=clusters" in str(error.value)
    assert "train.partition.kind=iid" in str(error.value)
    # 25 of one label leave just as little to skew by.
    rows = [{"prompt": f"say {n}", "response": str(n), "label": "talk"} for n in range(30)]
    with pytest.raises(ParaSimError, match=r"25 .*'talk'"):
        built({"data": {"source": written(tmp_path / "one.jsonl", rows), "held_out_examples": 5}})


@pytest.mark.filterwarnings("error")
def test_fewer_clusters_than_asked_for_are_said(tmp_path: Path):
    # Three different texts form three clusters, whatever is asked for; two of them two, with nothing to say.
    rows = [{"instruction": ("count sheep", "paint doors", "boil eggs")[n % 3], "output": "yes"} for n in range(30)]
    data = {"source": written(tmp_path / "data.jsonl", rows), "held_out_examples": 5}
    model = saved(tmp_path / "model")

    def clustered(clusters: int) -> Workbench:
        partition = {"labels": "clusters", "clusters": clusters, "minimum": 2}
        return built({"data": data, "partition": partition}, model=model)

    (_, note) = clustered(7).notes
    assert "asks for 7" in note
    assert len(clustered(3).notes) == 1


def test_fewer_examples_than_asked_for_are_said(tmp_path: Path):
    source, held_out = problems(tmp_path / "data.jsonl", 30), problems(tmp_path / "held.jsonl", 8)
    asked = {"source": source, "held_out": held_out, "examples": 31, "held_out_examples": 9}
    model = saved(tmp_path / "model")
    assert built({"data": asked, "partition": EVENLY}, model=model).notes[1:] == [
        "train.data.examples asks for 31, but there are only 30.",
        "train.data.held_out_examples asks for 9, but there are only 8.",
    ]
    # The 200 that the settings hold out by themselves are no wish of the user's.
    assert len(built({"data": {"source": source, "held_out": held_out}, "partition": EVENLY}, model=model).notes) == 1


def test_what_is_cut_off_held_out_answers_is_counted(tmp_path: Path):
    # Answers of 2 and 20 words are 3 and 21 tokens with their ends; behind a prompt of p tokens p + 21 - 12 are cut.
    model = saved(tmp_path / "model")
    short, long = ({"instruction": "how many", "output": " ".join(["1"] * count)} for count in (2, 20))
    source, held_out = written(tmp_path / "a.jsonl", [short] * 6), written(tmp_path / "b.jsonl", [short, long])
    local = {"steps": 1, "batch_size": 2, "sequence_length": 12}
    bench = built({"data": {"source": source, "held_out": held_out}, "partition": EVENLY}, model=model, local=local)
    prompt = len(bench.task.held_out.rows[0].tokens) - 3
    assert bench.task.training.truncation.lost_answer_tokens == 0
    cut = bench.task.held_out.truncation
    assert [note.partition(":")[0] for note in bench.notes] == ["Training data", "Held-out data"]
    assert (cut.examples, cut.truncated, cut.dropped) == (2, 1, 0)
    assert (cut.answer_tokens, cut.lost_answer_tokens) == (3 + 21, prompt + 21 - 12)


def test_a_model_reads_no_longer_sequences_than_it_was_made_for(tmp_path: Path):
    local = {"steps": 1, "batch_size": 2, "sequence_length": 513}
    with pytest.raises(ParaSimError, match=r"local\.sequence_length .*513"):
        built(local=local)


def test_text_models_do_not_look_at_images(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    with pytest.raises(ParaSimError, match=r"train\.data\.source"):
        built({"data": {"source": "digits"}}, model=str(tmp_path / "config.json"))


def test_the_demonstration_of_digits_is_a_transformer_that_looks_at_them():
    bench = built({"data": {"source": "digits"}})
    assert bench.tokenizer is None
    assert not bench.notes
    assert hasattr(bench.model.config, "image_size")


def test_devices(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_of(TrainSettings()).type == "cuda"
    assert device_of(TrainSettings(device="cpu")).type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of(TrainSettings()).type == "cpu"


def test_a_template_that_writes_the_date_gives_the_same_run_on_every_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # What determines a run, and so whether its checkpoints are gone on from, must not change at midnight; nor may what
    # it is trained on.
    from transformers.utils import chat_template_utils

    dated = (
        "Question: {{ strftime_now('%d %m %Y') }} {% for m in messages %}{{ m.role + ' : ' + m.content }}"
        "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    )
    model = saved(tmp_path / "model", chat_template=dated)
    data = {"data": {"source": problems(tmp_path / "data.jsonl", 30), "held_out_examples": 5}, "partition": EVENLY}
    benches = []
    for day in (1, 2):
        today = SimpleNamespace(now=lambda day=day: datetime.datetime(2031, 5, day))
        monkeypatch.setattr(chat_template_utils, "datetime", today)
        benches.append(built(data, model=model))
    first, second = benches
    assert first.task.training.rows == second.task.training.rows
    scenario = Scenario(model="llama-3-8b")
    assert contents(first, scenario) == contents(second, scenario)


def test_the_digest_of_the_data_is_of_all_that_was_chosen(tmp_path: Path):
    model = saved(tmp_path / "model")
    source = problems(tmp_path / "data.jsonl", 30)

    def digest(**changes: str) -> str:
        row = {"prompt": "how many", "response": "1 and 2", "answer": "3"} | changes
        held_out = written(tmp_path / "held.jsonl", [row])
        return built({"data": {"source": source, "held_out": held_out}, "partition": EVENLY}, model=model).data_digest

    # The answer that generated ones are held against is in no token.
    assert digest() == digest() != digest(answer="4")
    assert digest() != digest(prompt="how few")
    assert digest() != digest(response="1 and 1")


def test_a_tokenizer_that_writes_tokens_beyond_the_models_embeddings(tmp_path: Path):
    model = saved(tmp_path / "model", vocabulary=100)
    with pytest.raises(ParaSimError, match=r"writes token \d+ .* embeddings for 0 to 99 only"):
        built({"data": {"source": "word-problems", "examples": 60}}, model=model)
    problem = [{"prompt": problem["prompt"], "response": problem["response"]} for problem in word_problems(9, seed=0)]
    with pytest.raises(ParaSimError, match=r"writes token \d+ .* embeddings for 0 to 99 only"):
        parasim.evaluate(model, written(tmp_path / "data.jsonl", problem))


def saved(folder: Path, *, chat_template: str | None = None, vocabulary: int | None = None) -> str:
    """A folder with a tiny model and the demonstration's tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = demonstration_tokenizer()
    tokenizer.chat_template = chat_template
    config = CONFIG | {"vocab_size": vocabulary or len(tokenizer), "max_position_embeddings": 48}
    LlamaForCausalLM(LlamaConfig(**config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_what_a_trace_holds_belongs_to_a_run(tmp_path: Path):
    trace = tmp_path / "t.csv"
    bench = built()
    links = [{"count": 3, "uplink": {"trace": str(trace), "column": "up_MB_s"}}]
    digests = []
    for rows in ("0,1\n1,2\n", "0,1\n1,3\n"):
        trace.write_text(f"seconds,up_MB_s\n{rows}")
        digests.append(contents(bench, Scenario.parse({"model": "llama-3-8b", "fleet": links})))
    assert digests[0] != digests[1]
    # Where no link follows one, nothing is said of traces.
    assert len(contents(bench, Scenario(model="llama-3-8b"))) == len(digests[0]) - 1


def test_weights_are_held_as_they_are_said_to_be():
    assert next(built().model.parameters()).dtype == torch.float32
    narrow: Any = built({"weights": "bfloat16", "attention": "eager"}).model
    assert {parameter.dtype for parameter in narrow.parameters()} == {torch.bfloat16}
    assert narrow.config._attn_implementation == "eager"
    assert next(built({"weights": "float32-autocast"}).model.parameters()).dtype == torch.float32


def test_another_loss_is_that_of_the_task():
    bench = built()
    batch = next(iter(bench.task.batches(0, 0)))
    own = bench.task.loss(bench.model, batch).item()
    chunked, mixed = built({"loss": "chunked"}), built({"weights": "float32-autocast"})
    assert chunked.task.loss(chunked.model, batch).item() == pytest.approx(own, rel=1e-5)
    rounded = mixed.task.loss(mixed.model, batch).item()
    assert rounded != own
    assert rounded == pytest.approx(own, rel=0.01)


def test_packed_examples_fill_the_sequences_of_their_client():
    # 48 tokens a sequence, of which a word problem takes half or less.
    bench = built({"packing": True})
    task: Any = bench.task
    for client, own in enumerate(bench.partition.clients):
        packs = task.drawn(client)
        assert sorted(number for pack in packs for number in pack) == sorted(own)
        assert all(sum(len(task.training.rows[number].tokens) for number in pack) <= 48 for pack in packs)
    assert sum(map(len, task.packs)) < 60
    # Weights of the mean are still those of examples.
    assert list(task.examples) == [len(share) for share in bench.partition.clients]
    assert any(note.startswith("Packed: 60 examples into ") for note in bench.notes)
    batch = next(iter(task.batches(0, 0)))
    assert set(batch) == {"input_ids", "position_ids", "labels"}
    assert len(batch["input_ids"]) == 4


def test_images_are_neither_packed_nor_predicted_word_by_word():
    digits = {"data": {"source": "digits", "examples": 60}}
    for train, words in (({"packing": True}, "train.packing: is true"), ({"loss": "chunked"}, "train.loss: chunked")):
        with pytest.raises(ParaSimError, match=words):
            built(digits | train)
