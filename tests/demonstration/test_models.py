from __future__ import annotations

from transformers import AutoTokenizer

from parasim_demonstration.models import word_tokenizer


def test_words_signs_and_the_unknown():
    tokenizer = word_tokenizer(["many", "#", "####", "12"])
    ids = tokenizer("many #### 12# few").input_ids
    assert tokenizer.convert_ids_to_tokens(ids) == ["many", "####", "12", "#", "<unk>"]
    assert tokenizer.decode(ids[:3]) == "many #### 12"
    assert tokenizer.chat_template is None


def test_the_vocabulary_alone_decides_the_numbers():
    assert word_tokenizer(["b", "a", "a"]).get_vocab() == word_tokenizer(["a", "b"]).get_vocab()


def test_saved_and_loaded_like_any_other(tmp_path):
    tokenizer = word_tokenizer(["many", "12"])
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded("many 12 x").input_ids == tokenizer("many 12 x").input_ids
    assert (loaded.pad_token, loaded.eos_token, loaded.unk_token) == ("<pad>", "<eos>", "<unk>")
