"""Chat templates of the kinds that models come with, and a tokenizer of bytes to try them with.

Each is written for these tests after what a family of models does. Between ``{answer}`` and ``{/answer}`` it writes
what the assistant says; a template can mark that itself (``{% generation %}``), but most do not.
"""

from __future__ import annotations

from typing import Any

SPECIAL = ("<pad>", "</s>", "<s>", "<|im_start|>", "<|im_end|>", "<|user|>", "<|assistant|>", "<turn>", "<end_of_turn>")
_TEXT = "What is two and three? The answer is five, said the user. Question: Answer: ### End assistant system model"


def byte_tokenizer(template: str | None = None) -> Any:
    """Tokenizer of byte pairs in which a word goes with the space before it, as GPT-2's and Llama 3's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(SPECIAL),
        show_progress=False,
    )
    backend.train_from_iterator([_TEXT] * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", bos_token="<s>")
    tokenizer.chat_template = template
    return tokenizer


def marked(template: str) -> str:
    """The template that says itself what the assistant's is."""
    return template.replace("{answer}", "{% generation %}").replace("{/answer}", "{% endgeneration %}")


def unmarked(template: str) -> str:
    """The template as most models have it."""
    return template.replace("{answer}", "").replace("{/answer}", "")


_ASK = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
_OTHERS = "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
_PART = "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}"

TEXT = {
    "chatml": "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\n' }}"
    "{answer}{{ m.content + '<|im_end|>' }}{/answer}{{ '\n' }}{% else %}" + _OTHERS + "{% endif %}{% endfor %}" + _ASK,
    "a space before the answer and before its end": "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'assistant' %}{answer}{{ ' ' + m.content + ' ' + eos_token }}{/answer}"
    "{% else %}{{ '[INST] ' + m.content + ' [/INST]' }}{% endif %}{% endfor %}",
    "another name for the assistant, and no system": "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% if m.role == 'assistant' %}{{ '<turn>model\n' }}{answer}{{ m.content | trim + '<end_of_turn>' }}{/answer}"
    "{{ '\n' }}"
    "{% else %}{{ '<turn>user\n' + m.content | trim + '<end_of_turn>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<turn>model\n' }}{% endif %}",
    "an empty thought before the last answer": "{% for m in messages %}{% if m.role == 'assistant' %}"
    "{{ '<|im_start|>assistant\n' }}{answer}{% if loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ m.content + '<|im_end|>' }}{/answer}{{ '\n' }}{% else %}" + _OTHERS + "{% endif %}{% endfor %}" + _ASK,
    "a thought begun where it is asked": "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}"
    "{{ '<|assistant|>' }}{answer}{{ m.content + eos_token }}{/answer}{% else %}{{ '<|user|>' + m.content }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|><think>\n' }}{% endif %}",
    "no opening where it is asked": "{% for m in messages %}{% if m.role == 'assistant' %}"
    "{{ '<|im_start|>assistant\n' }}{answer}{{ m.content + '<|im_end|>' }}{/answer}{{ '\n' }}{% else %}"
    + _OTHERS
    + "{% endif %}{% endfor %}",
    "another end of the last answer": "{% for m in messages %}{{ '<|im_start|>' + m.role }}"
    "{% if m.role == 'assistant' %}{answer}{{ '<turn>final\n' + m.content }}"
    "{% if loop.last %}{{ eos_token }}{% else %}{{ '<|im_end|>' }}{% endif %}{/answer}"
    "{% else %}{{ '\n' + m.content + '<|im_end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}",
    "an end of the last answer alone": "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|assistant|>' }}"
    "{answer}{{ m.content }}{% if loop.last %}{{ eos_token }}{% endif %}{/answer}"
    "{% else %}{{ '<|user|>' + m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
    "an end in words": "{% for m in messages %}{{ '### ' + m.role + '\n' }}{% if m.role == 'assistant' %}"
    "{answer}{{ m.content + '\n### End' }}{/answer}{{ '\n' }}{% else %}{{ m.content + '\n### End\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant\n' }}{% endif %}",
}
"""Templates that take text."""

PARTS = {
    "every content in parts": "{% for m in messages %}"
    "{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}"
    "{answer}" + _PART + "{{ '<|im_end|>' }}{/answer}{{ '\n' }}{% else %}" + _PART + "{{ '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}" + _ASK,
    "the first part": "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}"
    "{answer}{{ m.content[0].text }}{{ '<|im_end|>' }}{/answer}{{ '\n' }}{% else %}{{ m.content[0].text }}"
    "{{ '<|im_end|>\n' }}{% endif %}{% endfor %}" + _ASK,
    "parts or an error": "{% for m in messages %}"
    "{% if m.content is string %}{{ raise_exception('no list') }}{% endif %}"
    "{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}"
    "{answer}" + _PART + "{{ '<|im_end|>' }}{/answer}{{ '\n' }}{% else %}" + _PART + "{{ '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}" + _ASK,
    "questions in parts, answers as text": "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' %}{answer}{{ m.content + '<|im_end|>' }}{/answer}{{ '\n' }}"
    "{% else %}" + _PART + "{{ '<|im_end|>\n' }}{% endif %}{% endfor %}" + _ASK,
    "answers in parts, questions as text": "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' %}{answer}" + _PART + "{{ '<|im_end|>' }}{/answer}{{ '\n' }}"
    "{% else %}{{ m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}" + _ASK,
}
"""Templates that take lists of parts, as those of models that also look at images."""
