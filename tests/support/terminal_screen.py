"""A terminal, as far as it is written to: it reads escape sequences and keeps colors. An unknown one is an error."""

import base64
import codecs
import re
import zlib
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from streamer.cli.terminal_graphics import QUESTIONS

Persona: TypeAlias = Literal["kitty", "sixel", "blocks", "silent"]
Color: TypeAlias = tuple[int, int, int]

CELL: Final = (8, 16)  # pixels
_TOKEN: Final = re.compile(r"\x1b\[([?<=>]?)([\d;:]*)([@-~])|\x1b([P_])(.*?)\x1b\\|([^\x1b])", re.DOTALL)
_PLAIN: Final[tuple[Color, Color]] = ((255, 255, 255), (0, 0, 0))
_CUBE: Final = (0, 95, 135, 175, 215, 255)
_ANSWERS: Final[dict[str, bytes]] = {
    "kitty": b"\x1b_Gi=31;OK\x1b\\\x1b[6;16;8t\x1bP1$r0;48:2::1:2:3m\x1b\\\x1b[?62;22c",
    "sixel": b"\x1b[6;16;8t\x1bP1$r48;2;1;2;3m\x1b\\\x1b[?62;4;22c",
    "blocks": b"\x1bP0$r\x1b\\\x1b[?1;2c",
    "silent": b"",
}


class Screen:
    """What a terminal of some size shows, in pixels of half cells, and the images on it."""

    def __init__(self, columns: int, rows: int, persona: Persona = "blocks") -> None:
        self.persona = persona
        self.modes: set[str] = set()  # private ones that are set
        self.images: dict[int, npt.NDArray[np.uint8]] = {}  # kitty's, by number
        self.sixels: list[tuple[tuple[int, int], npt.NDArray[np.uint8]]] = []  # with their cells, in order
        self.drawn = 0  # characters
        self.lines: set[str] = set()  # all that the last row has shown
        self.said = ""  # before the program has taken the terminal over, and after it
        self._unread = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._foreground, self._background = _PLAIN
        self._image: tuple[dict[str, str], str] | None = None  # that comes in chunks
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        """Take another size; what is shown stays only in name."""
        self.columns, self.rows = columns, rows
        self._clear()
        self._reset()
        self._row = self._column = 0

    @property
    def text(self) -> str:
        """The last row."""
        return "".join(self._text[-1]).rstrip()

    @property
    def canvas(self) -> npt.NDArray[np.uint8]:
        """What the sixels drawn so far show together."""
        wide, tall = CELL
        canvas = np.zeros((self.rows * tall, self.columns * wide, 3), np.uint8)
        for (row, column), image in self.sixels:
            canvas[row * tall :, column * wide :][: image.shape[0], : image.shape[1]] = image
        return canvas

    def answer(self, data: bytes) -> bytes:
        """Return what the terminal answers to what was written."""
        return _ANSWERS[self.persona] if QUESTIONS in data else b""

    def write(self, data: bytes) -> None:
        """Take what a program writes; sequences and characters may come in parts."""
        self._unread += self._decoder.decode(data)
        at = 0
        while (token := _TOKEN.match(self._unread, at)) is not None:
            at = token.end()
            private, numbers, final, kind, body, character = token.groups()
            if final:
                self._control(private, numbers, final)
            elif kind == "_":
                self._kitty(body)
            elif kind == "P":
                self._string(body)
            else:
                self._put(character)
        self._unread = self._unread[at:]
        self.lines.add(self.text)
        assert len(self._unread) < 4_000_000, self._unread[:40]

    def _control(self, private: str, numbers: str, final: str) -> None:
        if private == "?" and final in "hl":
            (self.modes.add if final == "h" else self.modes.discard)(numbers)
        elif final == "H":
            row, column = (int(number) for number in numbers.split(";"))
            assert 1 <= row <= self.rows
            assert 1 <= column <= self.columns
            self._row, self._column = row - 1, column - 1
        elif (numbers, final) == ("2", "J"):
            self._clear()
        elif final == "m" and "1049" in self.modes:  # what is said before and after is not looked at
            self._color(numbers)
        elif "1049" not in self.modes:
            pass
        else:
            assert (numbers, final) in {("16", "t"), ("", "c")}, (private, numbers, final)  # questions

    def _color(self, numbers: str) -> None:
        match numbers.split(";"):
            case [""]:
                self._reset()
            case ["7"]:
                self._foreground, self._background = self._background, self._foreground
            case ["38", *rest]:
                self._foreground = _color_of(rest)
            case ["48", *rest]:
                self._background = _color_of(rest)
            case other:
                raise AssertionError(other)

    def _put(self, character: str) -> None:
        if "1049" not in self.modes:
            self.said += character
            return
        upper = self._foreground if character == "▀" else self._background
        self.colors[2 * self._row : 2 * self._row + 2, self._column] = upper, self._background
        self._text[self._row][self._column] = character
        self._column += 1
        self.drawn += 1

    def _kitty(self, body: str) -> None:
        words, _, data = body.partition(";")
        keys = dict(word.split("=") for word in words.removeprefix("G").split(","))
        if keys.get("a") == "d":
            if keys["d"] == "A":
                self.images.clear()
            else:
                self.images.pop(int(keys["i"]), None)
            return
        if keys.get("a") == "q":
            return
        first, before = self._image or (keys, "")
        self._image = first, before + data
        if keys.get("m") == "0":
            pixels = np.frombuffer(zlib.decompress(base64.b64decode(before + data)), np.uint8)
            self.images[int(first["i"])] = pixels.reshape(int(first["v"]), int(first["s"]), 3)
            self._image = None

    def _string(self, body: str) -> None:
        if body.startswith("0;1;0q"):
            self.sixels.append(((self._row, self._column), read_sixel(body)))
        else:
            assert body == "$qm", body  # a question

    def _clear(self) -> None:
        self.colors: npt.NDArray[np.uint8] = np.zeros((2 * self.rows, self.columns, 3), np.uint8)
        self._text = [[" "] * self.columns for _ in range(self.rows)]
        self.sixels.clear()

    def _reset(self) -> None:
        self._foreground, self._background = _PLAIN


def _color_of(numbers: list[str]) -> Color:
    kind, *values = map(int, numbers)
    if kind == 2:
        r, g, b = values
        return r, g, b
    (number,) = values
    if number >= 232:
        shade = 8 + 10 * (number - 232)
        return shade, shade, shade
    assert number >= 16  # the first ones are whatever the user likes
    number -= 16
    return _CUBE[number // 36], _CUBE[number // 6 % 6], _CUBE[number % 6]


def read_sixel(body: str) -> npt.NDArray[np.uint8]:
    """Return the pixels of a sixel picture, without the sequence's ends."""
    found = re.match(r'0;1;0q"1;1;(\d+);(\d+)', body)
    assert found is not None
    width, height = int(found[1]), int(found[2])
    pixels = np.zeros((-(-height // 6) * 6, width, 3), np.uint8)
    colors: dict[int, Color] = {}
    color: Color = (0, 0, 0)
    x = y = 0
    for number, shares, count, code, move in re.findall(
        r"#(\d+)(;2;\d+;\d+;\d+)?|(?:!(\d+))?([?-~])|([$-])", body[found.end() :]
    ):
        if shares:
            r, g, b = (round(int(share) * 255 / 100) for share in shares.split(";")[2:])
            colors[int(number)] = r, g, b
        elif number:
            color = colors[int(number)]
        elif move:
            x, y = 0, y + 6 * (move == "-")
        else:
            wide = int(count or 1)
            for bit in range(6):
                if (ord(code) - 63) >> bit & 1:
                    pixels[y + bit, x : x + wide] = color
            x += wide
    return pixels[:height]
