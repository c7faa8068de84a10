from __future__ import annotations

import datetime
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.train.data.encoding import TokenRow, collate, encode
from parasim_core.train.data.examples import Example
from parasim_core.train.data.frame import CLOCK, Frame
from parasim_core.train.data.task import DataError
from parasim_core.train.data.template import Template
from parasim_demonstration.models import word_tokenizer
from tests.train.data.chat_templates import PARTS, TEXT, byte_tokenizer, marked, unmarked

ALL = TEXT | PARTS
QUESTION = Example("What is two and three?", "The answer is five.")
DIALOGUE = Example("And?", "It is six.", history=(("user", "What is two and three?"), ("assistant", "Five.")))


def trained(row: TokenRow, pad: int = 0) -> list[bool]:
    """Which tokens have a label, as the model sees it."""
    labels: list[int] = collate([row], pad)["labels"][0].tolist()
    return [label != -100 for label in labels]


def in_form(example: Example, template: str):
    """What a template of `PARTS` or `TEXT` takes, by hand."""
    parts = {"every content in parts", "the first part", "parts or an error"}
    wants = {"user", "assistant"} if template in parts else {"user"} if template.startswith("questions in") else set()
    wants = {"assistant"} if template.startswith("answers in") else wants
    return [
        {"role": role, "content": [{"type": "text", "text": text}] if role in wants else text}
        for role, text in example.conversation
    ]


@pytest.mark.parametrize("example", [QUESTION, DIALOGUE])
@pytest.mark.parametrize("name", ALL)
def test_what_is_trained_is_what_the_template_writes_for_the_assistant(name: str, example: Example):
    # The mask of transformers itself, from the same template with {% generation %} around what the assistant says,
    # token by token; and nothing behind the last answer.
    reference = byte_tokenizer(marked(ALL[name])).apply_chat_template(
        in_form(example, name), return_dict=True, return_assistant_tokens_mask=True
    )
    mask = [bool(one) for one in reference["assistant_masks"]]
    assert any(mask)
    length = len(mask) - mask[::-1].index(True)
    for source in (unmarked(ALL[name]), marked(ALL[name])):
        template = Template(byte_tokenizer(source))
        row = encode([example], template, 500).rows[0]
        assert list(row.tokens) == reference["input_ids"][:length]
        assert trained(row) == mask[:length]


@pytest.mark.parametrize("name", ALL)
def test_an_answer_is_generated_from_the_tokens_that_a_model_is_asked_with(name: str):
    tokenizer = byte_tokenizer(unmarked(ALL[name]))
    row = encode([QUESTION], Template(tokenizer), 500).rows[0]
    asked = tokenizer.apply_chat_template(in_form(QUESTION, name)[:1], add_generation_prompt=True, return_dict=False)
    before = list(row.tokens[: row.prompt_length])
    if name == "no opening where it is asked":
        # The template asks without naming the assistant; it is not trained to name itself.
        assert tokenizer.decode(before[len(asked) :]) == "<|im_start|>assistant\n"
    elif name == "a thought begun where it is asked":
        assert tokenizer.decode(asked[len(before) :]) == "<think>\n"
    else:
        assert before == asked


@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).filter(str.strip))
def test_any_answer_comes_out_of_its_tokens(text: str):
    tokenizer = byte_tokenizer(unmarked(TEXT["chatml"]))
    row = encode([Example("What?", text)], Template(tokenizer), 10_000).rows[0]
    assert tokenizer.decode(row.tokens[row.prompt_length : -1]) == text.strip()


def test_text_behind_an_answer_stands_where_the_template_puts_it():
    # A tokenizer of words: "3 END" are two, "3END" is one that nobody knows.
    tokenizer = word_tokenizer(["3", "END", "user", "assistant", "How"])
    tokenizer.chat_template = "{% for m in messages %}{{ m.role + ' ' + m.content + ' END\n' }}{% endfor %}"
    row = encode([Example("How", "3")], Template(tokenizer), 50).rows[0]
    assert tokenizer.convert_ids_to_tokens(row.tokens) == ["user", "How", "END", "assistant", "3", "END"]
    assert trained(row) == [False] * 4 + [True] * 2


def test_an_added_token_for_line_breaks_ends_no_answer():
    tokenizer = byte_tokenizer(unmarked(TEXT["an end in words"]))
    tokenizer.add_tokens(["\n", "<|im"])
    assert Frame(tokenizer).end == "\n### End"
    # Of two tokens that begin alike, the tokenizer takes the longer one.
    tokenizer.chat_template = unmarked(TEXT["chatml"])
    frame = Frame(tokenizer)
    assert (frame.end, frame.end_token) == ("<|im_end|>", tokenizer.convert_tokens_to_ids("<|im_end|>"))


def test_an_end_in_words_ends_a_generated_answer():
    template = Template(byte_tokenizer(unmarked(TEXT["an end in words"])))
    generated = template.tokenizer("five\n### End\n### user\n6", add_special_tokens=False).input_ids
    assert template.answers([generated]) == ["five\n"]


def test_where_a_token_would_reach_into_the_answer_both_sides_are_tokenized_apart():
    # "two" and "three" with nothing between them: a model that is asked has read "two" and nothing of the answer.
    tokenizer = word_tokenizer(["two", "three"])
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    row = encode([Example("two", "three")], Template(tokenizer), 50).rows[0]
    assert tokenizer.convert_ids_to_tokens(row.tokens) == ["two", "three", "<eos>"]
    assert trained(row) == [False, True, True]


@pytest.mark.parametrize("name", ["chatml", "a space before the answer and before its end", "an end in words"])
def test_a_tokenizer_that_does_not_tell_where_its_tokens_stand(name: str):
    # One token a byte: what is trained can be counted, from the answer to its end.
    from transformers import ByT5Tokenizer

    tokenizer = ByT5Tokenizer()
    assert not tokenizer.is_fast
    tokenizer.chat_template = unmarked(TEXT[name]).replace("bos_token", "''")
    row = encode([DIALOGUE], Template(tokenizer), 500).rows[0]
    spoken = [token for token, one in zip(row.tokens, trained(row), strict=True) if one]
    text, spans = Frame(tokenizer).spans(DIALOGUE.conversation)
    answers = [text[start:end] for start, end in spans]
    assert ["Five." in answers[0], "It is six." in answers[1]] == [True, True]
    assert spoken == [*chain(*tokenizer(answers, add_special_tokens=False).input_ids)]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% for m in messages %}{{ m.role }}{% endfor %}", "leaves out the question or the answer"),
        ("{{ messages[0].content }}", "leaves out the question or the answer"),
        ("{% for m in messages %}{{ m.text }}<|im_end|>{% endfor %}", "leaves out the question or the answer"),
        ("{{ 1 // 0 }}", "chat template fails"),
        ("{% for m in messages %}", "chat template fails"),
        ({"rag": "{{ messages }}", "tool_use": "{{ messages }}"}, "cannot be chosen"),
    ],
)
def test_a_template_that_does_not_write_what_it_is_given(source, message: str):
    with pytest.raises(DataError, match=message) as caught:
        Template(byte_tokenizer(source))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "lost"),
    [
        # What stands before a thought's end is thrown away, the last answer's too.
        ("{{ m.content.split('</think>')[-1] }}", "<think>Hm.</think>Five."),
        ("{{ m.content | replace('Five', 'Six') }}", "<think>Hm.</think>Five."),
        ("{{ m.content | upper }}", "two and three?"),
        ("{{ m.content[:12] }}", "two and three?"),
    ],
)
def test_what_a_template_leaves_out_of_one_answer_is_shown(source: str, lost: str):
    probe = "{% if 'q7c1f0' in m.content %}{{ m.content }}{% else %}" + source + "{% endif %}"
    template = Template(byte_tokenizer("{% for m in messages %}" + probe + "<|im_end|>{% endfor %}"))
    with pytest.raises(DataError, match="leaves out a part of what is said") as caught:
        encode([Example("two and three?", "<think>Hm.</think>Five.")], template, 100)
    assert lost in str(caught.value)


def test_thoughts_before_earlier_answers_may_be_left_out():
    thinking = TEXT["chatml"].replace(
        "m.content + '<|im_end|>' }}{/answer}",
        "(m.content if loop.last else m.content.split('</think>')[-1]) + '<|im_end|>' }}{/answer}",
    )
    history = (("user", "What?"), ("assistant", "<think>Hm.</think>Five."))
    example = Example("And?", "<think>Hm.</think>Six.", history=history)
    row = encode([example], Template(byte_tokenizer(unmarked(thinking))), 500).rows[0]
    text = byte_tokenizer().decode(row.tokens)
    assert "assistant\nFive.<|im_end|>" in text
    assert text.endswith("<think>Hm.</think>Six.<|im_end|>")


def test_a_system_message_goes_before_the_first_question_where_a_template_knows_none():
    told = Example("What?", "Five.", history=(("system", "Be brief."),))
    for source in (TEXT["another name for the assistant, and no system"], None):
        tokenizer = byte_tokenizer(source and unmarked(source))
        text = tokenizer.decode(encode([told], Template(tokenizer), 500).rows[0].tokens)
        assert "Be brief.\n\nWhat?" in text
    for source in (TEXT["chatml"], *PARTS.values()):
        tokenizer = byte_tokenizer(unmarked(source))
        text = tokenizer.decode(encode([told], Template(tokenizer), 500).rows[0].tokens)
        assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat?")
    # Answers and the system's message as text, questions in parts.
    mixed = PARTS["questions in parts, answers as text"].replace("== 'assistant'", "!= 'user'").replace("{answer}", "")
    knowing = byte_tokenizer(unmarked(mixed))
    text = knowing.decode(encode([told], Template(knowing), 500).rows[0].tokens)
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat?")


DATED = "{{ 'Today is ' + strftime_now('%A, %d %b %Y, %H:%M. 100%% of %-d') + '. ' }}" + TEXT["chatml"]


@pytest.mark.parametrize("source", [unmarked(DATED), marked(DATED)])
def test_the_clock_of_templates_stands_still(source: str, monkeypatch):
    from transformers.utils import chat_template_utils

    rows = []
    for day in (1, 2):

        class Today(datetime.datetime):
            @classmethod
            def now(cls, tz=None, day=day):
                return datetime.datetime(2031, 5, day)

        # What transformers takes the time from; without our clock the template writes this day.
        monkeypatch.setattr(chat_template_utils, "datetime", Today)
        tokenizer = byte_tokenizer(source)
        free = tokenizer.apply_chat_template([{"role": "user", "content": "What?"}], tokenize=False)
        assert f"{day:02} May 2031" in free
        rows.append(encode([QUESTION], Template(tokenizer), 500).rows)
    assert rows[0] == rows[1]
    text = tokenizer.decode(rows[0][0].tokens)
    assert text.startswith(CLOCK.strftime("Today is %A, %d %b %Y, %H:%M. 100%% of %-d. "))
    # The saved tokenizer's clock goes.
    assert Template(tokenizer).chat_tokenizer().chat_template == source


def test_where_a_conversation_is_cut_only_what_is_left_is_trained():
    tokenizer = byte_tokenizer(unmarked(TEXT["chatml"]))
    template = Template(tokenizer)
    whole = encode([DIALOGUE], template, 500)
    row = whole.rows[0]
    (gap,) = row.masked
    assert whole.truncation.answer_tokens == sum(trained(row))
    assert row.last_answer == gap[1]
    cut = encode([DIALOGUE], template, gap[0] + 1)
    # The first answer is whole, the last lost; both are counted.
    assert trained(cut.rows[0]) == trained(row)[: gap[0] + 1]
    assert cut.truncation.lost_answer_tokens == len(row.tokens) - gap[1]
    assert (cut.truncation.truncated, cut.truncation.dropped) == (1, 0)
