"""A frame's pixels: shapes, ranges, colours and sizes."""

import copy
import pickle
import time
from dataclasses import replace
from typing import Any

import av
import numpy as np
import pytest

from streamer.errors import ConfigurationError
from streamer.media.playback.pixels import PixelFormat
from tests.support.video_frames import video_frame

SHAPES: dict[PixelFormat, tuple[int, ...]] = {
    "rgb24": (48, 36, 3),
    "bgr24": (48, 36, 3),
    "gray": (48, 36),
    "yuv420p": (72, 36),
}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("size", [None, (36, 48)])
def test_an_array_has_the_documented_shape(kind: PixelFormat, size: tuple[int, int] | None) -> None:
    shown = video_frame(width=36, height=48) if size is None else video_frame(width=720, height=1280)
    pixels = shown.to_ndarray(kind, size=size)
    assert pixels.shape == SHAPES[kind]
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable


@pytest.mark.parametrize(
    ("kind", "luma", "grey"),
    [("yuv420p", 16, 0), ("yuv420p", 235, 255), ("yuvj420p", 0, 0), ("yuvj420p", 16, 16), ("yuvj420p", 255, 255)],
)
@pytest.mark.parametrize(("size", "rounding"), [(None, 0), ((32, 16), 2)])
def test_a_frame_is_converted_by_its_own_range(
    kind: str, luma: int, grey: int, size: tuple[int, int] | None, rounding: int
) -> None:
    shown = video_frame(kind=kind, luma=luma)
    for pixels in (shown.to_ndarray(form, size=size).astype(int) for form in ("rgb24", "bgr24", "gray")):
        assert abs(pixels - grey).max() <= rounding


@pytest.mark.parametrize("kind", ["rgb24", "bgr24"])
def test_colours_are_in_their_order(kind: PixelFormat) -> None:
    red = np.zeros((32, 64, 3), dtype=np.uint8)
    red[..., 0] = 255
    shown = replace(video_frame(), av_frame=av.VideoFrame.from_ndarray(red, format="rgb24").reformat(format="yuv420p"))
    pixel = shown.to_ndarray(kind)[16, 32].astype(int)
    assert abs(pixel - ([255, 0, 0] if kind == "rgb24" else [0, 0, 255])).max() < 6


def test_numpy_reads_a_frame_as_an_array() -> None:
    shown = video_frame(luma=90)
    assert np.array_equal(np.asarray(shown), shown.to_ndarray("rgb24"))
    assert shown.shape == np.asarray(shown).shape == (32, 64, 3)
    assert np.asarray(shown, dtype=np.float32).dtype == np.float32
    assert np.stack([shown, shown]).shape == (2, 32, 64, 3)
    with pytest.raises(ValueError, match="cannot give an array without a copy"):
        shown.__array__(copy=False)


def test_dlpack_reads_a_frame_as_a_tensor() -> None:
    shown = video_frame(luma=90)
    tensor = np.from_dlpack(shown)
    assert np.array_equal(tensor, shown.to_ndarray("rgb24"))
    assert shown.__dlpack_device__() == tensor.__dlpack_device__()
    for options in ({"copy": True}, {"copy": None, "dl_device": None, "max_version": None}):  # as newer libraries ask
        assert "dltensor" in repr(shown.__dlpack__(**options))
    with pytest.raises(BufferError, match="cannot give a tensor without a copy"):
        shown.__dlpack__(copy=False)


def test_pixels_are_written_where_the_caller_wants_them() -> None:
    batch = np.zeros((2, 32, 64, 3), np.uint8)
    frames = [video_frame(luma=90), video_frame(luma=180)]
    for shown, place in zip(frames, batch, strict=True):
        assert shown.to_ndarray("bgr24", out=place) is place
    assert np.array_equal(batch, np.stack([shown.to_ndarray("bgr24") for shown in frames]))
    small = np.zeros((20, 30), np.uint8)
    assert np.array_equal(frames[0].to_ndarray("gray", size=(30, 20), out=small), small)
    with pytest.raises(ConfigurationError, match=r"expected an array of shape \(32, 64\) and uint8 as out"):
        frames[0].to_ndarray("gray", out=small)


def test_the_decoders_planes_are_there_without_a_copy() -> None:
    shown = video_frame(width=63, height=31, luma=90)
    assert [plane.shape for plane in shown.planes] == [(31, 63), (16, 32), (16, 32)]
    assert shown.luma.ctypes.data == shown.av_frame.planes[0].buffer_ptr
    assert (shown.luma == 90).all()
    assert not shown.luma.flags.writeable


def test_a_notebook_shows_a_frame() -> None:
    shown = video_frame(luma=90)
    assert shown._repr_png_() == shown.encode("png")


def test_a_frame_is_its_own_copy_and_pickling_it_says_what_to_pickle() -> None:
    shown = video_frame()
    with pytest.raises(TypeError, match=r"cannot pickle a VideoFrame.*send frame\.to_ndarray\(\) or frame\.encode\(\)"):
        pickle.dumps(shown)
    assert copy.copy(shown) is copy.deepcopy([shown])[0] is shown


def test_a_frame_knows_its_age() -> None:
    shown = replace(video_frame(), arrival_ns=time.monotonic_ns() - 5_000_000_000)
    assert 5 <= shown.age_s < 25  # on a busy machine


def test_an_image_equals_the_array() -> None:
    shown = video_frame(luma=90)
    image = shown.to_image(size=(30, 20))
    assert (image.size, image.mode) == ((30, 20), "RGB")
    assert np.array_equal(np.asarray(image), shown.to_ndarray("rgb24", size=(30, 20)))


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5), (16_385, 5), (5, 1 << 40)])
def test_an_impossible_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ConfigurationError, match="expected a size of"):
        video_frame().to_ndarray(size=size)


@pytest.mark.parametrize("size", [None, (63, 32), (64, 31)])
def test_an_odd_size_is_refused_for_yuv420p_alone(size: tuple[int, int] | None) -> None:
    shown = video_frame(width=63, height=31)
    with pytest.raises(ConfigurationError, match="expected an even size"):
        shown.to_ndarray("yuv420p", size=size)
    width, height = size or (63, 31)
    assert shown.to_ndarray("gray", size=size).shape == (height, width)
    assert shown.to_ndarray("rgb24", size=size).shape == (height, width, 3)
    assert shown.to_ndarray("yuv420p", size=(62, 30)).shape == (45, 62)


@pytest.mark.parametrize("kind", ["cmyk", "", "RGB24"])
def test_an_unknown_format_is_refused(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="expected a pixel format"):
        video_frame().to_ndarray(kind)
