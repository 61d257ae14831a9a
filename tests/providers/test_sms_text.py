"""Segments of text messages, against the standard's own tables and the least number of segments that any cut needs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activate.providers.sms_text import SmsSize, sms_fits, sms_problem, sms_size

# 3GPP TS 23.038, 6.2.1: the default alphabet by code, 0x00 to 0x7F in rows of 16; 0x1B is the escape, no character.
DEFAULT = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
# 6.2.1.1: the extension table, by the code after the escape.
EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
CODES = {character: (code,) for code, character in enumerate(DEFAULT) if code != 0x1B} | {
    character: (0x1B, code) for code, character in EXTENSION.items()
}


def oracle(text: str) -> tuple[str, int, int]:
    """Encode every character, then try every way to cut: slow, and without any thought of its own."""
    if all(character in CODES for character in text):
        encoding, alone, joined = "GSM-7", 160, 153
        sizes = [len(CODES[character]) for character in text]
    else:
        encoding, alone, joined = "UCS-2", 70, 67
        sizes = [len(character.encode("utf-16-le", "surrogatepass")) // 2 for character in text]
    if sum(sizes) <= alone:
        return encoding, sum(sizes), 1
    least = [0] + [10**9] * len(sizes)
    for end in range(1, len(sizes) + 1):
        held = 0
        for start in range(end - 1, -1, -1):
            held += sizes[start]
            if held > joined:
                break
            least[end] = min(least[end], least[start] + 1)
    return encoding, sum(sizes), least[-1]


CHEAP = st.sampled_from(sorted(CODES))
PIECES = st.one_of(
    st.text(CHEAP, max_size=200),
    st.text(st.sampled_from("aé{}€^~|\\[]\f\r\n"), max_size=400),
    st.text(st.sampled_from("aж😀👍’—\U0010ffff"), max_size=250),
    st.text(max_size=60),
    st.builds(
        lambda text, times: text * times, st.text(st.sampled_from("a€ж😀"), min_size=1, max_size=3), st.integers(1, 170)
    ),
)


@given(st.lists(PIECES, max_size=3).map("".join))
def test_the_figures_are_those_of_the_slow_way(text: str) -> None:
    size = sms_size(text)
    assert (size.encoding, size.units, size.segments) == oracle(text)


@given(st.lists(PIECES, max_size=3).map("".join), st.integers(1, 10))
def test_a_short_cut_gives_the_same_answer(text: str, most: int) -> None:
    assert sms_fits(text, most) == (sms_size(text).segments <= most)
    assert sms_fits("😀" * 33 * most, most)


@given(st.text(max_size=100))
def test_the_costly_characters_are_all_that_the_alphabet_lacks(text: str) -> None:
    size = sms_size(text)
    assert set(size.costly) == {character for character in text if character not in CODES}
    assert (size.encoding == "UCS-2") == bool(size.costly)
    assert sms_size("".join(character for character in text if character not in size.costly)).encoding == "GSM-7"


@given(PIECES, PIECES)
def test_more_text_never_takes_fewer_segments(first: str, second: str) -> None:
    assert sms_size(first + second).segments >= sms_size(first).segments


def test_the_alphabet_has_127_characters_and_ten_more() -> None:
    assert len(DEFAULT) == 128
    assert len(CODES) == 137
    assert [sms_size(character) for character in sorted(CODES) if sms_size(character).encoding != "GSM-7"] == []


# As Twilio's own calculator counts them (npm sms-segments-calculator 1.3.0).
TWILIO = [
    ("", "GSM-7", 1), ("a" * 160, "GSM-7", 1), ("a" * 161, "GSM-7", 2), ("a" * 306, "GSM-7", 2), ("a" * 307, "GSM-7", 3),
    ("ж" * 70, "UCS-2", 1), ("ж" * 71, "UCS-2", 2), ("ж" * 134, "UCS-2", 2), ("ж" * 135, "UCS-2", 3),
    ("a" * 158 + "€", "GSM-7", 1), ("a" * 159 + "€", "GSM-7", 2), ("€" * 80, "GSM-7", 1), ("€" * 81, "GSM-7", 2),
    ("€" * 153, "GSM-7", 3), ("a" * 152 + "€" + "a" * 151, "GSM-7", 2), ("a" * 152 + "€" + "a" * 152, "GSM-7", 3),
    ("😀" * 35, "UCS-2", 1), ("😀" * 36, "UCS-2", 2), ("😀" * 66, "UCS-2", 2), ("😀" * 67, "UCS-2", 3),
    ("a\r\nb", "GSM-7", 1), ("a" * 70 + "’", "UCS-2", 2),
]  # fmt: skip


@pytest.mark.parametrize(("text", "encoding", "segments"), TWILIO)
def test_known_figures(text: str, encoding: str, segments: int) -> None:
    size = sms_size(text)
    assert (size.encoding, size.segments) == (encoding, segments)


def test_an_escape_and_its_character_stay_together() -> None:
    """305 septets would fit two segments of 153, were the € not at the seam."""
    assert sms_size("a" * 152 + "€" + "a" * 151) == SmsSize("GSM-7", 305, 2)
    assert sms_size("a" * 152 + "€" + "a" * 152) == SmsSize("GSM-7", 306, 3)


def test_a_surrogate_pair_stays_together() -> None:
    assert sms_size("ж" * 66 + "😀" + "ж" * 65).segments == 2
    assert sms_size("ж" * 66 + "😀" + "ж" * 66) == SmsSize("UCS-2", 134, 3, ("ж", "😀"))


def test_what_does_not_fit_is_told_with_its_figures() -> None:
    assert sms_problem("a" * 1530, 10) is None
    assert sms_problem("a" * 1531, 10) == (
        "takes 11 SMS segments (1,531 septets of the GSM alphabet); at most 10 are sent"
    )
    said = sms_problem("a" * 670 + "’", 10)
    assert said == (
        "takes 11 SMS segments (671 UTF-16 units); at most 10 are sent. '’' is not in the GSM alphabet, "
        "so that a segment holds 67 characters in place of 153"
    )
    assert "'’' 'ж' are not" in str(sms_problem("’ж" * 400, 10))
    assert "'а' 'б' 'в' 'г' 'д' and others are not" in str(sms_problem("абвгдежз" * 100, 10))
