"""Keys by name, and text as keys. The codes are those of Android's `KeyEvent` [seen]."""

import operator
from collections.abc import Iterable
from typing import Final

from streamer.control.frames import Key, Motion
from streamer.errors import ConfigurationError, TypingError

KEY_CODES: Final[dict[str, int]] = {
    "HOME": 3,
    "BACK": 4,
    **{str(digit): 7 + digit for digit in range(10)},
    "STAR": 17,
    "POUND": 18,
    "DPAD_UP": 19,
    "DPAD_DOWN": 20,
    "DPAD_LEFT": 21,
    "DPAD_RIGHT": 22,
    "DPAD_CENTER": 23,
    "VOLUME_UP": 24,
    "VOLUME_DOWN": 25,
    "POWER": 26,
    **{chr(ord("A") + index): 29 + index for index in range(26)},
    "COMMA": 55,
    "PERIOD": 56,
    "ALT": 57,
    "SHIFT": 59,
    "TAB": 61,
    "SPACE": 62,
    "ENTER": 66,
    "DEL": 67,  # deletes before the caret, as Backspace does
    "BACKSPACE": 67,
    "GRAVE": 68,
    "MINUS": 69,
    "EQUALS": 70,
    "LEFT_BRACKET": 71,
    "RIGHT_BRACKET": 72,
    "BACKSLASH": 73,
    "SEMICOLON": 74,
    "APOSTROPHE": 75,
    "SLASH": 76,
    "AT": 77,
    "PLUS": 81,
    "MENU": 82,
    "PAGE_UP": 92,
    "PAGE_DOWN": 93,
    "ESCAPE": 111,
    "FORWARD_DEL": 112,
    "CTRL": 113,
    "MOVE_HOME": 122,
    "MOVE_END": 123,
    "VOLUME_MUTE": 164,
    "APP_SWITCH": 187,
    "CUT": 277,
    "COPY": 278,
    "PASTE": 279,
}
MODIFIERS: Final[dict[str, int]] = {"SHIFT": 1, "ALT": 2, "CTRL": 4096}  # Android's meta bits [assumed]
TEXT_LIMIT: Final = 2000  # characters in one call

_PLAIN: Final[dict[str, str]] = {
    " ": "SPACE",
    "\n": "ENTER",
    "\t": "TAB",
    "*": "STAR",
    "#": "POUND",
    ",": "COMMA",
    ".": "PERIOD",
    "`": "GRAVE",
    "-": "MINUS",
    "=": "EQUALS",
    "[": "LEFT_BRACKET",
    "]": "RIGHT_BRACKET",
    "\\": "BACKSLASH",
    ";": "SEMICOLON",
    "'": "APOSTROPHE",
    "/": "SLASH",
    "@": "AT",
    "+": "PLUS",
}
_SILENT: Final = {name for name in KEY_CODES if len(name) > 1} - (set(_PLAIN.values()) - {"ENTER", "TAB"})
_SHIFTED: Final = dict(zip('~!$%^&()_{}|:"<>?', "`1456790-[]\\;',./", strict=True))  # as Android's Generic.kcm has it


def key_code(key: str | int) -> int:
    """Return a key's code: Android's own for an int from 1 to 65535, or a name of KEY_CODES in any case."""
    if isinstance(key, str):
        name = key.upper().removeprefix("KEYCODE_")
        if name not in KEY_CODES:
            raise ConfigurationError(f"expected an Android key code or one of {', '.join(KEY_CODES)}, got {key!r}")
        return KEY_CODES[name]
    code = operator.index(key)
    if not 0 < code <= 0xFFFF:
        raise ConfigurationError(f"expected an Android key code from 1 to 65535, got {code}")
    return code


def silent_name(code: int) -> str | None:
    """Return the name of a key that types nothing, such as "BACK"; None for any other key."""
    return next((name for name, each in KEY_CODES.items() if each == code and name in _SILENT), None)


def press(key: str | int, modifiers: Iterable[str] = ()) -> list[Key]:
    """Return a key's way down and up, within those of its modifiers: "SHIFT", "ALT" and "CTRL"."""
    names = [modifiers] if isinstance(modifiers, str) else list(modifiers)
    names = [name.upper() for name in names]
    if unknown := [name for name in names if name not in MODIFIERS]:
        raise ConfigurationError(f"expected modifiers of {', '.join(MODIFIERS)}, got {', '.join(unknown)}")
    return _stroke(key_code(key), names)


def keys_of(text: str) -> list[Key]:
    """Return the keys that type a text: printable ASCII, line feed and tab, on Android's generic (US) layout [assumed].

    Raises TypingError if keys cannot say all of it, or it is longer than TEXT_LIMIT.
    """
    if len(text) > TEXT_LIMIT:
        raise TypingError(f"expected at most {TEXT_LIMIT} characters, got {len(text)}: type them in parts")
    strokes = [_stroke_of(character) for character in text]
    if untypable := [number for number, stroke in enumerate(strokes, start=1) if stroke is None]:
        raise TypingError(
            f"keys can type printable ASCII, line feeds and tabs only: {len(untypable)} of {len(text)} characters are "
            f"others, the first is number {untypable[0]}; nothing was typed. For other text use an input method on the "
            'phone, or copy it there and press("PASTE")'
        )
    return [key for stroke in strokes if stroke is not None for key in stroke]


def _stroke_of(character: str) -> list[Key] | None:
    base = _SHIFTED.get(character, character)
    is_shifted = character in _SHIFTED or ("A" <= character <= "Z")
    name = _PLAIN.get(base, base.upper() if base.isascii() else "")
    return _stroke(KEY_CODES[name], ["SHIFT"] * is_shifted) if name in KEY_CODES and len(base) == 1 else None


def _stroke(code: int, names: list[str]) -> list[Key]:
    """Return the frames of one key; with each modifier's own key, since the meaning of the mask is not certain."""
    before, state = [], 0
    for name in names:
        state |= MODIFIERS[name]
        before.append(Key(Motion.DOWN, KEY_CODES[name], state))
    after = []
    for name in reversed(names):
        held = state & ~MODIFIERS[name]
        after.append(Key(Motion.UP, KEY_CODES[name], held))
        state = held
    full = sum({MODIFIERS[name] for name in names})
    return [*before, Key(Motion.DOWN, code, full), Key(Motion.UP, code, full), *after]
