"""What a finder gives: where on a frame something is, and what came nearest to it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from streamer.media.playback.video_frames import VideoFrame
from streamer.watch.region import Region


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A place on a frame at which something was found.

    Attributes:
        region: Where it is, in pixels of the frame.
        score: How alike it is, from 0.0 to 1.0.
        text: The text that was read there; None for an image.
        frame: The frame on which it is.
    """

    region: Region
    score: float
    text: str | None = None
    frame: VideoFrame = field(repr=False, compare=False)

    @property
    def center(self) -> tuple[int, int]:
        """The pixel in the middle: x and y."""
        left, top, right, bottom = self.region.pixels(self.frame.width, self.frame.height)
        return (left + right) // 2, (top + bottom) // 2

    def __str__(self) -> str:
        x, y = self.center
        score = f"{math.floor(100 * self.score + 1e-6) / 100:.2f}"  # 1.00 is a match, and nothing else
        return f"{score} at ({x}, {y})" if self.text is None else f'"{self.text}" at ({x}, {y}), {score}'


@dataclass(frozen=True, slots=True)
class Found:
    """What a finder found on a frame.

    Attributes:
        matches: Every place, from top to bottom and from left to right.
        nearest: What came nearest to a match; None if there is a match, or nothing came near.
        nearby: Texts that were read instead; empty for images.
    """

    matches: tuple[Match, ...] = ()
    nearest: Match | None = None
    nearby: tuple[str, ...] = ()


class Finder(Protocol):
    """Finds one thing on frames. Any thread may call it, one at a time."""

    @property
    def name(self) -> str:
        """What messages call it, such as `pay.png` or `"Sign in"`."""

    def find(self, frame: VideoFrame, within: Region | None) -> Found:
        """Return where it is on a frame; `within` is the part to look at, None for all of it.

        A match lies wholly in that part.
        """


def in_reading_order(matches: Iterable[Match]) -> tuple[Match, ...]:
    """Return matches from top to bottom, and from left to right where they stand beside each other."""
    rows: list[list[Match]] = []
    for match in sorted(matches, key=lambda match: match.center[1]):
        height = match.region.height
        if rows and match.center[1] - rows[-1][0].center[1] < height / 2:
            rows[-1].append(match)
        else:
            rows.append([match])
    return tuple(match for row in rows for match in sorted(row, key=lambda match: match.center[0]))
