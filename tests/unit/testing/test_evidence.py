"""What is written of a test: a video with chapters, and an image with what came nearest."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from streamer import Region, WaitTimeoutError
from streamer.errors import SeveralMatchesError
from streamer.targets.matches import Match
from streamer.testing import evidence
from streamer.testing.footage import Footage
from streamer.timeline import records
from streamer.timeline.journal import unix_time
from tests.support.access_units import coded_units, units
from tests.support.senders import encoded_as
from tests.support.video_frames import video_frame

S = 1_000_000_000


def footage_of(stream: list[Any]) -> Footage:
    """Return frames, ten a second, of which the first came four seconds ago."""
    begin_ns = time.monotonic_ns() - 4 * S
    moved = [
        replace(unit, arrival_ns=begin_ns + number * S // 10, rtp_time=9_000 * number)
        for number, unit in enumerate(stream)
    ]
    return Footage(moved, begin_ns=begin_ns, now_ns=begin_ns)


def test_a_video_has_a_chapter_for_the_test_and_each_step(tmp_path: Path) -> None:
    footage = footage_of(units())
    begin = unix_time(footage.begin_ns)
    told = [
        records.Start(at=begin + 1, test="test_it.py::test_pays[card]", phone="phone"),
        records.Step(at=begin + 3, name="pay", duration_s=0.5, outcome="passed"),
        records.Step(at=begin + 2, name="fill the cart ü" + "x" * 300, duration_s=1, outcome="passed"),
    ]
    saved = evidence.save_video(tmp_path, "", footage, told)
    assert saved is not None
    assert saved.path == "video.mp4"
    assert saved.at == pytest.approx(begin, abs=0.05)
    assert saved.duration_s >= 4
    with av.open(tmp_path / "video.mp4") as container:
        chapters: list[Any] = container.chapters()
        assert sum(1 for _ in container.decode(video=0)) == 12
    begins = [float(chapter["start"] * chapter["time_base"]) for chapter in chapters]
    titles = [chapter["metadata"]["title"] for chapter in chapters]
    assert [title[:15] for title in titles] == ["before the test", "test_pays[card]", "fill the cart ü", "pay"]
    assert len(titles[2].encode()) <= 255
    assert begins == pytest.approx([0, 1, 2, 3], abs=0.05)


def test_the_times_of_a_video_are_right_also_if_its_first_frame_was_slow_on_its_way(tmp_path: Path) -> None:
    units_, slow_ns = units(), S // 4
    footage = footage_of(units_)
    kept = footage.units
    late = Footage(
        [replace(kept[0], arrival_ns=kept[0].arrival_ns + slow_ns), *kept[3:]],
        begin_ns=footage.begin_ns,
        now_ns=footage.begin_ns,
    )
    saved = evidence.save_video(tmp_path, "", late, [])
    assert saved is not None
    with av.open(tmp_path / "video.mp4") as container:
        times = [frame.time for frame in container.decode(video=0)]
    shown = [round(saved.at + (at or 0.0) - unix_time(kept[0].arrival_ns), 2) for at in times]
    assert shown[-1] == pytest.approx(1.1, abs=0.02)


def test_a_codec_that_no_mp4_holds_goes_into_another_file(tmp_path: Path) -> None:
    saved = evidence.save_video(tmp_path, "phone-2-", footage_of(coded_units("vp8", encoded_as("vp8", 6))), [])
    assert saved is not None
    assert saved.path == "phone-2-video.webm"
    with av.open(tmp_path / saved.path) as container:
        assert sum(1 for _ in container.decode(video=0)) == 6


def test_without_a_frame_there_is_no_video_and_no_image(tmp_path: Path) -> None:
    nothing = Footage([], begin_ns=0, now_ns=0)
    assert evidence.save_video(tmp_path, "", nothing, []) is None
    assert not evidence.save_image(tmp_path / "failure.png", nothing, AssertionError("no"))
    assert list(tmp_path.iterdir()) == []


def pixels_of(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.edge  # it imports numpy.testing, and numpy 1.26 then starts a process
def test_the_image_is_the_last_frame(tmp_path: Path) -> None:
    stream = units()
    assert evidence.save_image(tmp_path / "failure.png", footage_of(stream), AssertionError("no"))
    last = evidence.last_frame(stream[6:])
    assert last is not None
    np.testing.assert_array_equal(pixels_of(tmp_path / "failure.png"), last.to_ndarray(format="rgb24"))


def test_the_image_shows_where_the_nearest_miss_was_also_in_the_cause_of_an_error(tmp_path: Path) -> None:
    frame = video_frame(width=64, height=32)
    best = Match(region=Region(10, 8, 20, 10), score=0.8, frame=frame)
    miss = WaitTimeoutError("", waited_for="", waited_s=1, frame=frame, best=best, moving=(Region(50, 2, 8, 8),))
    error = AssertionError("no")
    error.__cause__ = miss
    path = tmp_path / "failure.png"
    assert evidence.save_image(path, Footage([], begin_ns=0, now_ns=0), error)
    pixels = pixels_of(path)
    assert (
        tuple(pixels[7, 20]) == tuple(pixels[18, 20]) == tuple(pixels[12, 9]) == tuple(pixels[12, 30]) == evidence.MISS
    )
    assert tuple(pixels[1, 52]) == evidence.MOVING
    gray = tuple(pixels[31, 0])
    assert tuple(pixels[8, 10]) == tuple(pixels[17, 29]) == gray


def test_each_of_several_matches_is_drawn_in_and_edges_are_no_obstacle(tmp_path: Path) -> None:
    frame = video_frame(width=64, height=32)
    matches = tuple(Match(region=region, score=1, frame=frame) for region in (Region(0, 0, 8, 8), Region(56, 24, 8, 8)))
    path = tmp_path / "failure.png"
    assert evidence.save_image(path, Footage([], begin_ns=0, now_ns=0), SeveralMatchesError("two", matches=matches))
    pixels = pixels_of(path)
    assert tuple(pixels[4, 8]) == tuple(pixels[23, 60]) == evidence.MISS
