"""Typing: which character a key of Android means, and a soft keyboard whose keys can be tapped."""

from typing import Final

from streamer.emulator.apps.app import Stage
from streamer.emulator.apps.paint import INK, PRESSED, SURFACE, Paint, Rect

SHIFT: Final = 1  # the bit of the modifiers [assumed]: Android's meta state
SHIFT_KEYS: Final = frozenset({59, 60})
_HEIGHT: Final = 206.0  # dp
_FIELD: Final = 84.0  # dp below the title bar that stay visible
_LOWER: Final = {
    **{29 + index: chr(ord("a") + index) for index in range(26)},
    **{7 + index: str(index) for index in range(10)},
    55: ",",
    56: ".",
    61: "\t",
    62: " ",
    66: "\n",
    67: "\b",
    68: "`",
    69: "-",
    70: "=",
    71: "[",
    72: "]",
    73: "\\",
    74: ";",
    75: "'",
    76: "/",
    77: "@",
    17: "*",
    18: "#",
    81: "+",
    160: "\n",
}
_UPPER: Final = {
    **{29 + index: chr(ord("A") + index) for index in range(26)},
    **dict(zip(range(7, 17), ")!@#$%^&*(", strict=True)),
    55: "<",
    56: ">",
    68: "~",
    69: "_",
    70: "+",
    71: "{",
    72: "}",
    73: "|",
    74: ":",
    75: '"',
    76: "?",
}
_ROWS: Final = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")


def character(code: int, *, has_shift: bool) -> str:
    """Return what a key types; "" for a key that types nothing."""
    return (_UPPER.get(code) if has_shift else None) or _LOWER.get(code, "")


def top_of(stage: Stage) -> float:
    """Return where the soft keyboard begins."""
    return max(stage.bottom - _HEIGHT, stage.body + _FIELD)


def keys(stage: Stage, *, is_upper: bool) -> dict[str, Rect]:
    """Return the soft keyboard's keys, by what they type; "shift" is one that types nothing."""
    top, row_height = top_of(stage), (stage.bottom - top_of(stage)) / 5
    across = stage.width / 10
    found: dict[str, Rect] = {}
    for row, characters in enumerate(_ROWS):
        left = (10 - len(characters)) / 2 * across
        for column, each in enumerate(characters):
            name = each.upper() if is_upper else each
            found[name] = Rect(left + column * across, top + row * row_height, across, row_height)
    found["shift"] = Rect(0, top + 3 * row_height, 1.5 * across, row_height)
    found["\b"] = Rect(8.5 * across, top + 3 * row_height, 1.5 * across, row_height)
    for name, start, width in (("@", 0.0, 1.5), (" ", 1.5, 5.0), (".", 6.5, 1.0), ("\n", 7.5, 2.5)):
        found[name] = Rect(start * across, top + 4 * row_height, width * across, row_height)
    return found


def draw(paint: Paint, stage: Stage, pressed: str, *, is_upper: bool) -> None:
    """Draw the soft keyboard."""
    paint.fill(Rect(0, top_of(stage), stage.width, stage.bottom - top_of(stage)), (214, 218, 226))
    labels = {"\n": "Enter", " ": "space"}
    for name, rect in keys(stage, is_upper=is_upper).items():
        inner = Rect(rect.x + 2, rect.y + 3, rect.width - 4, rect.height - 6)
        is_dark = name == pressed or (name == "shift" and is_upper)
        paint.box(inner, PRESSED if is_dark else SURFACE, 6)
        x, y = inner.center
        if name == "shift":
            paint.line([(x - 7, y + 2), (x, y - 6), (x + 7, y + 2)], INK)
            paint.line([(x, y - 5), (x, y + 7)], INK)
        elif name == "\b":
            paint.line([(x + 8, y), (x - 8, y)], INK)
            paint.line([(x - 2, y - 6), (x - 8, y), (x - 2, y + 6)], INK)
        else:
            paint.text(x, y, labels.get(name, name), 17 if len(labels.get(name, name)) < 2 else 14, INK, anchor="mm")
