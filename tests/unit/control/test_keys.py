"""Keys by name, and text as keys."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.control import keys
from streamer.control.frames import Key, Motion
from streamer.errors import ConfigurationError, TypingError

# Android's own table, Generic.kcm: what each key gives alone, and with SHIFT.
PLAIN = dict(zip("`-=[]\\;',./ \n\t", (68, 69, 70, 71, 72, 73, 74, 75, 55, 56, 76, 62, 66, 61), strict=True))
SHIFTED = dict(zip('~_+{}|:"<>?', (68, 69, 70, 71, 72, 73, 74, 75, 55, 56, 76), strict=True))
SHIFTED |= dict(zip("!@#$%^&*()", (8, 9, 10, 11, 12, 13, 14, 15, 16, 7), strict=True))
OWN = {"@": 77, "*": 17, "#": 18, "+": 81}  # signs that have a key of their own


def read(strokes: list[Key]) -> str:
    """Return what a phone with Android's generic layout would make of keys."""
    text, is_shifted = "", False
    held: set[int] = set()
    for key in strokes:
        if key.motion is Motion.UP:
            held.remove(key.code)
            is_shifted &= key.code != 59
            continue
        held.add(key.code)
        if key.code == 59:
            is_shifted = True
        elif 29 <= key.code <= 54:
            text += chr(key.code + (36 if is_shifted else 68))
        elif 7 <= key.code <= 16 and not is_shifted:
            text += str(key.code - 7)
        else:
            table = {code: sign for sign, code in (SHIFTED if is_shifted else PLAIN | OWN).items()}
            text += table[key.code]
    assert not held
    return text


@given(st.text(st.sampled_from(string.printable[:95] + "\n\t")))
def test_keys_type_any_printable_ascii_text(text: str) -> None:
    assert read(keys.keys_of(text)) == text


def test_an_address_needs_no_shift() -> None:
    assert all(key.modifiers == 0 for key in keys.keys_of("hello@example.com"))


@pytest.mark.parametrize("text", ["naïve", "密码", "emoji 😀", "\x00", "a\r\n", "\u017f", "\u212a"])
def test_a_text_that_keys_cannot_type_is_refused_whole_and_not_repeated(text: str) -> None:
    with pytest.raises(TypingError) as caught:
        keys.keys_of(text)
    assert "nothing was typed" in str(caught.value)
    assert not any(sign in str(caught.value) for sign in text if not sign.isascii())


def test_the_message_says_where_and_how_many() -> None:
    with pytest.raises(TypingError, match=r"2 of 6 characters are others, the first is number 3;"):
        keys.keys_of("abé dé")


def test_a_text_over_the_limit_is_refused() -> None:
    with pytest.raises(TypingError, match="expected at most 2000 characters, got 2001"):
        keys.keys_of("a" * 2001)


@pytest.mark.parametrize(
    ("key", "code"), [("BACK", 4), ("back", 4), ("KEYCODE_APP_SWITCH", 187), ("A", 29), (279, 279)]
)
def test_a_key_is_its_name_or_its_code(key: str | int, code: int) -> None:
    assert keys.press(key) == [Key(Motion.DOWN, code), Key(Motion.UP, code)]


def test_modifiers_are_held_around_a_key() -> None:
    assert keys.press("A", ["SHIFT", "ctrl"]) == [
        Key(Motion.DOWN, 59, 1),
        Key(Motion.DOWN, 113, 4097),
        Key(Motion.DOWN, 29, 4097),
        Key(Motion.UP, 29, 4097),
        Key(Motion.UP, 113, 1),
        Key(Motion.UP, 59, 0),
    ]


@pytest.mark.parametrize(("key", "modifiers"), [("NOTHING", []), (0, []), (65536, []), ("A", ["META"])])
def test_an_unknown_key_is_refused(key: str | int, modifiers: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        keys.press(key, modifiers)
