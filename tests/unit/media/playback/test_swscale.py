"""libswscale writes into memory of ours what PyAV's conversion gives, and nothing beside it."""

import ctypes
import threading
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.playback import swscale
from streamer.media.playback.array_pool import SLACK
from tests.support.video_frames import filtered, noise_frame

GUARD = 0x5A
EVEN = st.integers(1, 150).map(lambda half: 2 * half)


def expected(frame: av.VideoFrame, target: str) -> Any:
    return np.ascontiguousarray(frame.to_ndarray(format=target))


@pytest.mark.parametrize("width", [720, 1080, 1280, 1440, 1920])
@pytest.mark.parametrize("target", ["rgb24", "bgr24"])
def test_frames_of_common_widths_are_written_where_they_shall_be(width: int, target: str) -> None:
    kind = swscale.kind_of(noise_frame(width, 8), target)
    assert kind is not None
    assert swscale.tight_rows(kind) is not None


@given(
    width=EVEN,
    height=st.integers(1, 6).map(lambda half: 2 * half),
    look=st.tuples(
        st.sampled_from(["yuv420p", "yuvj420p"]), st.sampled_from([0, 1, 2, 4, 5, 6, 7, 9]), st.sampled_from([0, 1, 2])
    ),
    target=st.sampled_from(["rgb24", "bgr24"]),
    has_slack=st.booleans(),
)
def test_the_pixels_are_those_of_pyav_and_nothing_beside_them_is_written(
    width: int, height: int, look: tuple[str, int, int], target: str, *, has_slack: bool
) -> None:
    frame = noise_frame(width, height, *look)
    kind = swscale.kind_of(frame, target)
    assert kind is not None
    if swscale.tight_rows(kind) is None:
        return
    size = 3 * width * height
    memory = np.full(size + 2048, GUARD, np.uint8)
    out = memory[1024 : 1024 + size].reshape(height, width, 3)
    swscale.convert(frame, kind, out, has_slack=has_slack)
    assert np.array_equal(out, expected(frame, target))
    allowed = SLACK if has_slack else 0
    assert (memory[:1024] == GUARD).all()
    assert (memory[1024 + size + allowed :] == GUARD).all()


@pytest.mark.parametrize(
    "frame",
    [noise_frame(63, 32), noise_frame(64, 31), noise_frame(64, 32, "yuv444p"), noise_frame(64, 32, "yuv420p10le")],
)
def test_other_frames_are_left_to_pyav(frame: av.VideoFrame) -> None:
    assert swscale.kind_of(frame, "bgr24") is None


def test_an_interlaced_frame_is_left_to_pyav() -> None:
    frame = filtered(noise_frame(64, 32), "setfield", "tff")
    assert frame.interlaced_frame
    assert swscale.kind_of(frame, "bgr24") is None


def test_rows_that_come_out_wrong_are_not_written_that_way(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = swscale.Kind(64, "yuv420p", False, 2, "bgr24")
    assert swscale.tight_rows.__wrapped__(kind) is not None
    convert = swscale._Context.convert

    def one_wrong(self: Any, frame: Any, address: int, stride: int, *rows: int) -> None:
        convert(self, frame, address, stride, *rows)
        ctypes.c_uint8.from_address(address + stride - 1).value ^= 1

    monkeypatch.setattr(swscale._Context, "convert", one_wrong)
    assert swscale.tight_rows.__wrapped__(kind) is None


def test_writing_too_far_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = swscale.Kind(64, "yuv420p", False, 2, "bgr24")
    convert = swscale._Context.convert

    def too_far(self: Any, frame: Any, address: int, stride: int, *rows: int) -> None:
        convert(self, frame, address, stride, *rows)
        ctypes.c_uint8.from_address(address + rows[1] * stride + SLACK).value = 1

    monkeypatch.setattr(swscale._Context, "convert", too_far)
    assert swscale.tight_rows.__wrapped__(kind) is None


def test_threads_that_convert_at_once_get_their_own_pixels() -> None:
    wrong: list[int] = []

    def work(number: int) -> None:
        frame = noise_frame(96, 64, seed=number)
        kind = swscale.kind_of(frame, "bgr24")
        assert kind is not None
        out, right = np.empty((64, 96, 3), np.uint8), expected(frame, "bgr24")
        for _ in range(50):
            swscale.convert(frame, kind, out, has_slack=False)
            wrong.extend([number] * (not np.array_equal(out, right)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
