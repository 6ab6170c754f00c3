"""The watch that is kept after an action was sent, until somebody asks what came of it."""

import pytest

from streamer.errors import ConfigurationError
from streamer.watch.change import Look
from streamer.watch.region import Region
from streamer.watcher import KEPT_FRAMES, KeptWatch
from tests.support.video_frames import video_frame

DARK, BRIGHT = 60, 200


async def looks_of(kept: KeptWatch, region: Region | None = None) -> list[Look]:
    looks: list[Look] = []
    sent: list[int] = []
    with kept.watch(lambda look, _: looks.append(look), region=region, ignore=()):
        await kept.act(sent.append)
        assert sent == [7]
        kept.deliver(video_frame(luma=DARK), None)
    return looks


async def test_what_came_before_the_question_and_after_it_is_compared_with_the_frame_before_the_action() -> None:
    kept = KeptWatch(video_frame(luma=DARK), 7)
    kept.deliver(video_frame(luma=DARK), None)
    kept.deliver(video_frame(luma=BRIGHT), None)
    looks = await looks_of(kept)
    assert [look.is_first for look in looks] == [True, False, False, False]
    assert [look.changed is not None for look in looks] == [False, False, True, True]


async def test_the_question_names_the_region() -> None:
    kept = KeptWatch(video_frame(luma=DARK), 7)
    kept.deliver(video_frame(luma=BRIGHT), None)
    looks = await looks_of(kept, Region(0, 0, 16, 16))
    assert looks[1].region == Region(0, 0, 16, 16)
    with pytest.raises(ConfigurationError, match="expected something to watch"):
        await looks_of(KeptWatch(video_frame(), 7), Region(5000, 0, 16, 16))


def test_a_watch_that_nobody_asks_keeps_so_many_frames_and_no_more() -> None:
    full: list[bool] = []
    kept = KeptWatch(video_frame(), 7)
    kept.on_full = lambda: full.append(True)
    for _ in range(KEPT_FRAMES - 1):
        kept.deliver(video_frame(), None)
    assert not full
    kept.deliver(video_frame(), None)
    assert full == [True]
    kept.end()
    assert kept.is_over
    assert kept._kept == []
