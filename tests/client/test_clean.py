"""No code point that does something to a terminal, or hides, gets through; text does."""

import unicodedata

import pytest

from parley.client.ground.clean import clean, clean_text
from parley.client.ground.times import in_own_time

DANGEROUS = [
    *range(0x20), *range(0x7F, 0xA0),  # C0, DEL, C1
    0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x2028, 0x2029,
    *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0x2800, 0x3164,
    *range(0xFE00, 0xFE0E), 0xFEFF, 0xFFA0, *range(0xFFF9, 0xFFFD), *range(0xE0000, 0xE0080),
    *range(0xE0100, 0xE01F0), *range(0xD800, 0xD808), 0xE000, 0xFDD0, 0xFFFE, 0x10FFFF,
]  # fmt: skip


@pytest.mark.parametrize("code", DANGEROUS, ids=hex)
def test_every_dangerous_character_becomes_a_visible_mark(code: int) -> None:
    char = chr(code)
    for text in (char, f"a{char}b", f"{char}b", f"a{char}"):
        for made in (clean(text), clean_text(text)):
            if char in "\n\t" and made == clean_text(text):
                continue
            assert char not in made
            assert len(made) > len(text) - 1


def test_nothing_is_let_through_that_a_terminal_obeys() -> None:
    for code in range(0x110000):
        char = chr(code)
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            assert char not in clean(f"a{char}b"), hex(code)


@pytest.mark.parametrize(
    "text",
    ["plain", "Grüße", "你好", "שלום", "नमस्ते", "می\u200cخواهم", "क्\u200dष", "👨\u200d👩\u200d👧",
     "❤\ufe0f", "👍🏽", "e\u0301", "ế", "한국어", "ไทย", "a\u00a0b".replace("\u00a0", " ")],
)  # fmt: skip
def test_peoples_writing_is_left_alone(text: str) -> None:
    assert clean(text) == text
    assert clean_text(text) == text


def test_marks_do_not_pile_up() -> None:
    made = clean("z" + "\u0301" * 50)
    assert made.count("\u0301") == 4


def test_lines_and_tabs_are_for_messages_only() -> None:
    assert clean_text("a\r\nb\tc") == "a\nb   c"
    assert clean("a\nb\tc") == "a␊b␉c"


def test_what_is_no_time_stays_as_it_was_told() -> None:
    for told in ("until 2026-99-99 99:99 UTC", "2026-11-29 UTC", "0000-00-00 00:00 UTC", "UTC"):
        assert in_own_time(told) == told
