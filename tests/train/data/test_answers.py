from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.train.data.answers import final_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#### 1,234", "1234"),
        ("He pays $5.00.", "5"),
        ("3 * 4 = 12\n#### 12", "12"),
        ("#### -7", "-7"),
        ("#### -$4", "-4"),
        ("#### $12,345,678.90", "12345678.9"),
        ("12 + 3, so 15 #### about", "15"),  # a mark without a number: the last number of the text
        ("#### 18\nQuestion: 5 and #### 20", "18"),  # a model that did not stop: its first answer counts
        ("from 9-4", "4"),  # a hyphen between operands is no sign
        ("1, 2", "2"),  # a comma between numbers is no thousands separator
        ("50%", "50"),
        (".5", "0.5"),
    ],
)
def test_final_number(text, number):
    assert final_number(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "none", "#### ", "####"])
def test_text_without_a_number(text):
    assert final_number(text) is None


@given(st.integers(-(10**9), 10**9), st.text("abc 7+=.\n"))
def test_whatever_stands_in_front_a_marked_number_is_read_back(number, working):
    assert final_number(f"{working}\n#### {number:,}") == number
    assert final_number(f"{working}\n#### {number}") == number
