from __future__ import annotations

import pytest
from tokenizers.processors import TemplateProcessing

from parasim_core.train.data.task import DataError
from parasim_core.train.data.template import Template
from parasim_demonstration.models import word_tokenizer

WORDS = ["How", "many", "?", "1", "2", "3", "+", "=", "####", "user", "assistant"]
CHAT = (
    "{% for message in messages %}<start>{{ message.role }} {{ message.content }}<stop>\n{% endfor %}"
    "{% if add_generation_prompt %}<start>assistant {% endif %}"
)


def chat_tokenizer(template=CHAT):
    tokenizer = word_tokenizer(WORDS)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<start>", "<stop>"]})
    tokenizer.chat_template = template
    return tokenizer


def words(template, ids):
    return template.tokenizer.convert_ids_to_tokens(ids)


def test_plain_template_token_by_token():
    template = Template(word_tokenizer(WORDS))
    prompt, completion = template.prompts(["How many?"])[0], template.completions(["1 + 2 = 3\n#### 3"])[0]
    assert words(template, prompt) == ["Question", ":", "How", "many", "?", "Answer", ":"]
    assert words(template, completion) == ["1", "+", "2", "=", "3", "####", "3", "<eos>"]
    assert words(template, template.documents(["1 + 2"])[0]) == ["1", "+", "2", "<eos>"]
    assert words(template, template.stops) == ["<eos>"]
    assert words(template, [template.pad]) == ["<pad>"]


@pytest.mark.parametrize("beginning", [None, "<bos>"])
def test_the_plain_frame_as_a_chat_template_gives_the_same_tokens(beginning: str | None):
    tokenizer = word_tokenizer(WORDS)
    if beginning is not None:
        tokenizer.add_special_tokens({"bos_token": beginning})
        number = tokenizer.bos_token_id
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"{beginning} $A", special_tokens=[(beginning, number)]
        )
    template = Template(tokenizer)
    question, answer = " How many?\n", "1 + 2 = 3\n#### 3"
    chatting = template.chat_tokenizer()
    assert tokenizer.chat_template is None
    asked = [{"role": "user", "content": question}]
    ids = chatting.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    assert ids == template.prompts([question])[0]
    assert words(template, ids)[: 1 if beginning else 0] == [beginning] * bool(beginning)
    told = chatting.apply_chat_template([*asked, {"role": "assistant", "content": answer}], return_dict=False)
    assert told == template.prompts([question])[0] + template.completions([answer])[0]
    # Read again, by `paraSim evaluate`: neither another frame nor another separator.
    again = Template(chatting)
    assert again.prompts([question]) == template.prompts([question])
    assert again.completions([answer]) == template.completions([answer])
    assert again.stops == template.stops


def test_a_chat_template_of_its_own_is_kept():
    assert Template(chat_tokenizer()).chat_tokenizer().chat_template == CHAT


def test_chat_template_token_by_token():
    template = Template(chat_tokenizer())
    prompt, completion = template.prompts(["How many?"])[0], template.completions(["3"])[0]
    expected = ["<start>", "user", "How", "many", "?", "<stop>", "<start>", "assistant"]
    assert words(template, prompt) == expected
    # The end of the turn is trained; the line break that the template writes behind it is not.
    assert words(template, completion) == ["3", "<stop>"]
    assert set(words(template, template.stops)) == {"<stop>", "<eos>"}


def test_a_template_that_ends_no_answer_gets_the_end_token():
    template = Template(chat_tokenizer("{% for message in messages %}{{ message.content }}{% endfor %}"))
    assert words(template, template.completions(["3"])[0]) == ["3", "<eos>"]


def test_a_beginning_token_is_written_only_where_the_tokenizer_uses_one():
    from tokenizers.processors import TemplateProcessing

    tokenizer = word_tokenizer(WORDS)
    tokenizer.add_special_tokens({"bos_token": "<bos>"})
    assert words(Template(tokenizer), Template(tokenizer).prompts(["1"])[0])[0] == "Question"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.bos_token_id)]
    )
    assert words(Template(tokenizer), Template(tokenizer).prompts(["1"])[0])[:2] == ["<bos>", "Question"]


def test_a_tokenizer_without_padding_pads_with_its_end():
    tokenizer = word_tokenizer(WORDS)
    tokenizer.pad_token = None
    assert Template(tokenizer).pad == tokenizer.eos_token_id


def test_tokenizers_that_cannot_be_used():
    tokenizer = word_tokenizer(WORDS)
    tokenizer.eos_token = None
    with pytest.raises(DataError, match="neither an end token"):
        Template(tokenizer)
    with pytest.raises(DataError, match="chat template fails: no such role"):
        Template(chat_tokenizer("{{ raise_exception('no such role') }}"))


def test_nothing_to_tokenize():
    assert Template(word_tokenizer(WORDS)).prompts([]) == []


def test_a_token_that_the_model_has_no_embedding_for_is_named():
    tokenizer = chat_tokenizer()
    size = len(tokenizer)
    assert Template(tokenizer, size).prompts(["How many?"]) == Template(tokenizer).prompts(["How many?"])
    # <stop> has the highest number: a model with one embedding less cannot end an answer.
    with pytest.raises(DataError, match=rf"writes token {size - 1} \('<stop>'\).* 0 to {size - 2} only"):
        Template(tokenizer, size - 1).prompts(["How many?"])


def test_a_padding_token_that_was_added_later_is_replaced_by_one_that_the_model_has():
    tokenizer = word_tokenizer(WORDS)
    size = len(tokenizer)
    tokenizer.add_special_tokens({"pad_token": "<added>"})
    assert tokenizer.pad_token_id == size
    assert Template(tokenizer, size).pad == tokenizer.eos_token_id
    assert Template(tokenizer, size + 1).pad == size
