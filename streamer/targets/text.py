"""Finds a text among the lines that were read on a frame.

What reads text loses spaces, and takes a few characters for others that look alike (docs/performance.md has figures).
So texts are compared without spaces, and one character in four may be a look-alike.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final, NamedTuple

from streamer.errors import ConfigurationError
from streamer.media.playback.video_frames import VideoFrame
from streamer.targets.matches import Found, Match, in_reading_order
from streamer.targets.reading import Reader, TextLine
from streamer.watch.region import Region

LOOK_ALIKES: Final = ("0Oo", "1Il|")
LOOK_ALIKE_SHARE: Final = 4  # one character in so many may be a look-alike
NEAREST_LEAST: Final = 0.6  # of 1: how alike a line is that comes near
NEARBY_LIMIT: Final = 10  # texts that are given instead
_SHAPES: Final = {character: alike[0] for alike in LOOK_ALIKES for character in alike}
_PLAIN: Final = str.maketrans("\u2018\u2019\u201c\u201d\u2010\u2011\u2012\u2013\u2014\u2212", "''\"\"------")


class TextFinder:
    """Finds a text, or what a regular expression matches, within a line. `reader` tells which lines there are.

    Raises ConfigurationError if `text` is neither, or has no visible character.
    """

    def __init__(self, reader: Reader, text: str | re.Pattern[str], *, exact: bool = False) -> None:
        match text:
            case re.Pattern():
                self.name = f"/{text.pattern}/"
                self._wanted = []
            case str() if wanted := _compared(text, exact=exact):
                self.name = f'"{text}"'
                self._wanted = wanted
            case _:
                raise ConfigurationError(
                    f"expected a text with a visible character, or a compiled pattern, got {text!r}"
                )
        self._reader = reader
        self._text = text
        self._exact = exact

    def find(self, frame: VideoFrame, within: Region | None) -> Found:
        """Return where the text is on a frame."""
        matches: list[Match] = []
        others: list[Match] = []
        for line in self._reader.read(frame, within):
            found = [
                Match(region=_region_of(line, begin, end), score=line.score, text=line.text[begin:end], frame=frame)
                for begin, end in self._spans(line.text)
            ]
            found = [match for match in found if _is_in(match, within)]
            matches += found
            if not found and not matches:
                others.append(Match(region=line.region, score=self._alike(line.text), text=line.text, frame=frame))
        if matches:
            return Found(in_reading_order(matches))
        others = sorted((match for match in others if _is_in(match, within)), key=lambda match: -match.score)
        nearest = others[0] if others and others[0].score >= NEAREST_LEAST else None
        return Found((), nearest, tuple(match.text or "" for match in others[:NEARBY_LIMIT]))

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Return where in a line the text is: the first character of each place, and the first one behind it."""
        if isinstance(self._text, re.Pattern):
            yield from (match.span() for match in self._text.finditer(text) if match.group())
            return
        line, wanted = _compared(text, exact=self._exact), self._wanted
        begin = 0
        while begin + len(wanted) <= len(line):
            end = len(line) if self._exact else begin + len(wanted)
            if _is_like(wanted, line[begin:end]):
                yield line[begin].place, line[end - 1].place + 1
                begin = end
            elif self._exact:
                return
            else:
                begin += 1

    def _alike(self, text: str) -> float:
        """Return how alike the text is to what is nearest to it in a line: 1 - edits / length, from 0 to 1."""
        wanted = self._wanted
        if not wanted:
            return 0.0
        # The fewest edits to each beginning of `wanted`: from what ends here, anywhere in the line unless `exact`.
        edits = list(range(len(wanted) + 1))
        least = edits[-1]
        for number, character in enumerate(_compared(text, exact=self._exact), start=1):
            above, edits[0] = edits[0], number if self._exact else 0
            for index, other in enumerate(wanted, start=1):
                replaced = above + (character.compared != other.compared)
                above, edits[index] = edits[index], min(edits[index] + 1, edits[index - 1] + 1, replaced)
            least = edits[-1] if self._exact else min(least, edits[-1])
        return max(1 - least / len(wanted), 0.0)


class _Character(NamedTuple):
    compared: str
    shape: str  # what look-alikes have in common
    place: int  # in the text


def _compared(text: str, *, exact: bool) -> list[_Character]:
    """Return a text as it is compared: without spaces, in compatibility form, in one case unless `exact`."""
    return [
        _Character(each if exact else each.casefold(), _SHAPES.get(each, each if exact else each.casefold()), index)
        for index, character in enumerate(text)
        for each in unicodedata.normalize("NFKC", character.translate(_PLAIN))
        if not each.isspace()
    ]


def _is_like(wanted: list[_Character], line: list[_Character]) -> bool:
    """Whether a part of a line says what is wanted, but for a few look-alikes."""
    if len(wanted) != len(line):
        return False
    confused = len(wanted) // LOOK_ALIKE_SHARE
    for one, other in zip(wanted, line, strict=True):
        if one.compared != other.compared:
            confused -= 1
            if confused < 0 or one.shape != other.shape:
                return False
    return True


def _region_of(line: TextLine, begin: int, end: int) -> Region:
    """Return where a part of a line is."""
    region, length = line.region, len(line.text)
    if begin == 0 and end == length:
        return region
    middles = line.middles if len(line.middles) == length else [(index + 0.5) / length for index in range(length)]
    left = 0.0 if begin == 0 else (middles[begin - 1] + middles[begin]) / 2
    right = 1.0 if end == length else (middles[end - 1] + middles[end]) / 2
    x, width = region.x + round(left * region.width), max(round((right - left) * region.width), 1)
    return Region(x, region.y, width, region.height)


def _is_in(match: Match, within: Region | None) -> bool:
    """Whether a match lies in a part of the frame; a quarter of a line's height around it is margin."""
    if within is None:
        return True
    size = match.frame.width, match.frame.height
    left, top, right, bottom = match.region.pixels(*size)
    margin = (bottom - top) // 4
    outer = within.pixels(*size)
    return (
        left + margin >= outer[0]
        and top + margin >= outer[1]
        and right - margin <= outer[2]
        and bottom - margin <= outer[3]
    )
