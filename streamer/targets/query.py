"""Which of the matches is meant: all, one by its number, those within a region or within something else."""

from dataclasses import dataclass
from typing import Final, Self

from streamer.media.playback.video_frames import VideoFrame
from streamer.targets.matches import Finder, Found
from streamer.watch.region import Region

_ORDINALS: Final = {0: "the first", -1: "the last"}


@dataclass(frozen=True, slots=True)
class Sight:
    """What a query found on a frame.

    `query` is the query itself, or the one around it that did not find exactly one place to look in. `place` is the
    part of the frame that was looked at, None if all of it. `count` is how many matches there were before one of them
    was chosen by its number.
    """

    query: "Query"
    frame: VideoFrame
    found: Found
    count: int
    place: Region | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for, where, and which of several matches is meant."""

    finder: Finder
    number: int | None = None  # of the match in reading order, from 0; from the end if negative; None for all of them
    within: "Region | Self | None" = None

    @property
    def name(self) -> str:
        """What messages call it."""
        name = self.finder.name
        if self.number is not None:
            name = f"{_ORDINALS.get(self.number, f'number {self.number} of')} {name}"
        if self.within is not None:
            name = f"{name} within {self.within if isinstance(self.within, Region) else self.within.name}"
        return name

    def look(self, frame: VideoFrame) -> Sight:
        """Return what is found on a frame."""
        region = self.within
        if isinstance(region, Query):
            around = region.look(frame)
            if len(around.found.matches) != 1:
                return around
            region = around.found.matches[0].region
        found = self.finder.find(frame, region)
        count = len(found.matches)
        if self.number is not None:
            chosen = found.matches[self.number :][:1] if -count <= self.number < count else ()
            found = Found(chosen, found.nearest, found.nearby)
        return Sight(self, frame, found, count, region)
