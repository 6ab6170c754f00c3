"""Phones that pack, mark and refresh their frames as some encoders do: the same frames, whole, each once."""

import asyncio

import pytest

import streamer
from streamer import emulator
from streamer.emulator import Faults
from tests.support.everywhere import Connect

LIMIT_S = 60.0
FRAMES = 60


@pytest.mark.parametrize(
    "faults",
    [
        ["slices=4"],
        ["marker_per_slice"],
        ["no_markers"],
        ["no_markers", "slices=4"],
        ["annexb_in_fua"],
        ["annexb_in_fua", "slices=4"],
        ["parameter_sets_apart"],
        ["intra_refresh"],
        ["intra_refresh", "marker_per_slice"],
    ],
    ids=" ".join,
)
async def test_every_frame_is_right_and_arrives_once_even_the_last_of_a_still_screen(
    connect: Connect, faults: list[str]
) -> None:
    frames: list[streamer.VideoFrame] = []
    counters: list[int] = []
    async with (
        emulator.serve(width=360, height=640, faults=Faults.parse(faults)) as phone,
        connect(phone) as session,
        session.frames("every") as iterator,
        asyncio.timeout(LIMIT_S),
    ):
        while len(frames) < FRAMES or counters[-1] < phone.frames_sent - 1:
            frame = await anext(iterator)
            barcode = emulator.read_barcode(frame.to_ndarray("gray"))
            assert barcode is not None
            frames.append(frame)
            counters.append(barcode.counter)
            if len(frames) == FRAMES:
                phone.go_still()
                await asyncio.sleep(0.2)  # what is being drawn is drawn
        stats = session.stats()
    moving = list(dict.fromkeys(counters))  # a still frame may be sent again as a keyframe
    assert moving == [*range(moving[0], phone.frames_sent)]
    assert not any(frame.discontinuity for frame in frames[1:])
    assert (stats.frames_lost, stats.frames_malformed, stats.decode_errors, stats.frames_corrupt) == (0, 0, 0, 0)
