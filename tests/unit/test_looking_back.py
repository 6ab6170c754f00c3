"""What was on the screen, frame by frame: when it came, when it went, and what is not looked at."""

from collections import deque
from dataclasses import replace
from itertools import pairwise

import av
import numpy as np
import pytest

from streamer.looking_back import Review
from streamer.media.access_unit import AccessUnit
from streamer.media.playback.video_frames import VideoFrame
from streamer.targets.matches import Found, Match
from streamer.targets.query import Query
from streamer.watch.region import Region
from tests.support.senders import access_unit, encoder

MS = 1_000_000
EVERY_MS = 100


class Brightness:
    """Finds white frames, and notes which frames it was asked about."""

    name = "white"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def find(self, frame: VideoFrame, within: Region | None) -> Found:
        luma = float(frame.to_ndarray("gray").mean())
        self.asked.append(frame.arrival_ns // MS)
        match = Match(region=Region(0, 0, 160, 128), score=luma / 255, frame=frame)
        return Found((match,)) if luma > 200 else Found((), match)


def stream(*levels: int, keyframe_every: int = 100) -> list[AccessUnit]:
    """Return units of frames of one gray each, a tenth of a second apart."""
    context, units = encoder((160, 128)), []
    for number, level in enumerate(levels):
        frame = av.VideoFrame.from_ndarray(np.full((128, 160, 3), level, np.uint8), format="rgb24").reformat(
            format="yuv420p"
        )
        frame.pts = 9000 * number
        if number % keyframe_every == 0:
            frame.pict_type = av.video.frame.PictureType.I
        units += [
            access_unit(bytes(packet), 9000 * number, arrival_ns=number * EVERY_MS * MS)
            for packet in context.encode(frame)
        ]
    return units


def reviewed(units: list[AccessUnit], since_ms: int) -> tuple[Review, Brightness]:
    finder = Brightness()
    review = Review(Query(finder), since_ms * MS)
    review.receive(deque(units), float("inf"))
    review.catch_up()
    return review, finder


def test_it_came_with_the_first_frame_that_shows_it_and_went_with_the_first_that_does_not() -> None:
    review, _ = reviewed(stream(20, 20, 230, 230, 20, 20), 50)
    assert review.match is not None
    assert review.match.frame.arrival_ns == review.first_ns == 200 * MS
    assert review.gone_ns == 400 * MS


def test_a_frame_that_was_sent_again_does_not_go_before_it_came() -> None:
    units = stream(20, 230, 20, 20)
    units[1] = replace(units[1], arrival_ns=250 * MS)
    review, _ = reviewed(units, 50)
    assert (review.first_ns, review.gone_ns) == (250 * MS, 250 * MS)


def test_what_was_on_the_screen_at_that_moment_counts_from_then_on() -> None:
    review, finder = reviewed(stream(20, 230, 20), 150)
    assert review.match is not None
    assert (review.first_ns, review.gone_ns) == (150 * MS, 200 * MS)
    assert finder.asked == [100, 200]


def test_what_comes_again_is_gone_when_it_has_gone_for_the_last_time() -> None:
    review, _ = reviewed(stream(230, 20, 230, 20, 60), 0)
    assert (review.first_ns, review.gone_ns) == (0, 300 * MS)
    review, _ = reviewed(stream(230, 20, 230), 0)
    assert (review.first_ns, review.gone_ns) == (0, None)


def test_frames_that_are_the_same_pixel_by_pixel_are_looked_at_once() -> None:
    units = stream(20, 20, 20, 20, 230, 230, 230, 230, 20, 20)
    review, finder = reviewed(units, 0)
    assert review.looks == len(finder.asked) < len(units)
    assert all(later > earlier for earlier, later in pairwise(finder.asked))
    assert (review.first_ns, review.gone_ns) == (400 * MS, 800 * MS)


def test_what_came_nearest_is_kept_as_evidence() -> None:
    review, _ = reviewed(stream(20, 120, 60), 0)
    assert review.match is None
    assert review.nearest is not None
    assert review.nearest.frame.arrival_ns == 100 * MS
    assert review.newest is not None
    assert review.newest.arrival_ns == 200 * MS


def test_it_stops_when_it_is_late_and_goes_on_where_it_stopped() -> None:
    units = deque(stream(20, 230, 20))
    review = Review(Query(Brightness()), 0)
    review.receive(units, 0.0)
    assert len(units) == 3
    review.receive(units, float("inf"))
    assert not units
    assert review.gone_ns == 200 * MS


@pytest.mark.parametrize("since_ms", [0, 250, 10_000])
def test_a_still_screen_has_one_frame_whatever_the_moment(since_ms: int) -> None:
    review, finder = reviewed(stream(230), since_ms)
    assert review.match is not None
    assert review.first_ns == since_ms * MS
    assert finder.asked == [0]
