"""A frame's pixels as arrays are what PyAV's conversion gives, wherever they are written. Planes are views."""

import gc
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import ConfigurationError
from streamer.media.playback import swscale
from streamer.media.playback.pixels import FORMATS, Conversion, PixelFormat, luma_of, planes_of, shape_of
from tests.support.video_frames import filtered, noise_frame

KINDS = st.sampled_from(["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuvj444p", "yuv420p10le", "nv12", "gbrp"])
SIDE = st.integers(1, 70)
COLORS = st.tuples(st.sampled_from([0, 1, 2, 4, 5, 6, 7, 9]), st.sampled_from([0, 1, 2]))
GUARD = 0x5A


def by_pyav(frame: av.VideoFrame, pixel_format: PixelFormat, size: tuple[int, int] | None) -> Any:
    if size is None:
        return frame.to_ndarray(format=pixel_format)
    return frame.to_ndarray(format=pixel_format, width=size[0], height=size[1], interpolation="AREA")


def luma_by_the_standard(frame: av.VideoFrame) -> Any:
    luma = luma_of(frame).astype(float)
    if frame.format.name.startswith("yuvj") or frame.color_range == 2:
        return luma
    return np.clip((luma - 16) * 255 / 219, 0, 255)


def places(shape: tuple[int, ...]) -> dict[str, tuple[Any, Any]]:
    """Return arrays to write into, each with all memory that it is a part of."""
    whole = np.full(tuple(side + 4 for side in shape[:2]) + shape[2:], GUARD, np.uint8)
    flat = np.full(int(np.prod(shape)) + 512, GUARD, np.uint8)
    batch = np.full((3, *shape), GUARD, np.uint8)
    turned = np.full(shape[::-1], GUARD, np.uint8)
    return {
        "in the middle of memory": (flat[256:-256].reshape(shape), flat),
        "in a larger picture": (whole[2:-2, 2:-2], whole),
        "in a batch": (batch[1], batch),
        "upside down": (batch[1, ::-1], batch),
        "turned": (turned.T, turned),
    }


@given(width=SIDE, height=SIDE, kind=KINDS, color=COLORS, pixel_format=st.sampled_from(["rgb24", "bgr24", "yuv420p"]))
def test_colours_are_exactly_those_of_pyav(
    width: int, height: int, kind: str, color: tuple[int, int], pixel_format: PixelFormat
) -> None:
    if pixel_format == "yuv420p":
        width, height = width + width % 2, height + height % 2
    frame = noise_frame(width, height, kind, *color)
    right = by_pyav(frame, pixel_format, None)
    found = Conversion(pixel_format)(frame)
    assert np.array_equal(found, right)
    assert found.flags.c_contiguous
    for name, (out, memory) in places(right.shape).items():
        before = memory.copy()
        assert Conversion(pixel_format)(frame, out) is out, name
        assert np.array_equal(out, right), name
        out[...] = GUARD
        assert np.array_equal(memory, before), name


@given(width=SIDE, height=SIDE, kind=KINDS, size=st.tuples(SIDE, SIDE), pixel_format=st.sampled_from(FORMATS))
def test_a_scaled_frame_is_that_of_pyav(
    width: int, height: int, kind: str, size: tuple[int, int], pixel_format: PixelFormat
) -> None:
    if pixel_format == "yuv420p":
        size = 2 * size[0], 2 * size[1]
    if kind == "nv12":
        width, height = width + width % 2, height + height % 2
    # Gray is clipped after it is scaled, and PyAV's before.
    frame = noise_frame(width, height, kind, levels=(16, 235) if pixel_format == "gray" else (0, 255))
    found = Conversion(pixel_format, size)(frame).astype(int)
    assert abs(found - by_pyav(frame, pixel_format, size)).max() <= (2 if pixel_format == "gray" else 0)


@given(width=SIDE, height=SIDE, kind=KINDS.filter(lambda kind: kind not in {"gbrp", "yuv420p10le"}), color=COLORS)
def test_gray_is_the_frames_own_luma_within_one_level(
    width: int, height: int, kind: str, color: tuple[int, int]
) -> None:
    frame = noise_frame(width, height, kind, *color)
    right = luma_by_the_standard(frame)
    assert abs(Conversion("gray")(frame) - right).max() <= 1
    for name, (out, memory) in places(right.shape).items():
        before = memory.copy()
        Conversion("gray")(frame, out)
        assert abs(out - right).max() <= 1, name
        out[...] = GUARD
        assert np.array_equal(memory, before), name


def test_each_level_of_luma_becomes_its_gray() -> None:
    frame = av.VideoFrame(256, 2, "yuv420p")
    luma = frame.planes[0]
    luma.update(np.resize(np.arange(256, dtype=np.uint8), luma.buffer_size).tobytes())
    gray = Conversion("gray")(frame)[0].astype(int)
    right = np.clip(np.floor((np.arange(256) - 16) * 255 / 219 + 0.5), 0, 255)
    assert abs(gray - right).max() == 1
    assert (gray != right).sum() == 24
    assert (np.diff(gray) >= 0).all()
    assert (gray[:17] == 0).all()
    assert (gray[235:] == 255).all()


@pytest.mark.parametrize("kind", ["yuv420p10le", "gbrp"])
def test_gray_of_other_streams_is_that_of_pyav(kind: str) -> None:
    frame = noise_frame(64, 32, kind)
    assert np.array_equal(Conversion("gray")(frame), by_pyav(frame, "gray", None))


def test_gray_of_a_large_frame_is_right_in_each_of_its_pieces() -> None:
    frame = noise_frame(1920, 1081)
    assert abs(Conversion("gray")(frame) - luma_by_the_standard(frame)).max() <= 1


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_pyav_converts_where_libswscale_cannot_be_called(
    pixel_format: PixelFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = noise_frame(64, 32)
    right = Conversion(pixel_format)(frame)
    swscale.tight_rows.cache_clear()
    monkeypatch.setattr(swscale, "_library", lambda: None)
    for out in (None, np.zeros(right.shape, np.uint8)):
        assert np.array_equal(Conversion(pixel_format)(frame, out), right)
    swscale.tight_rows.cache_clear()


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_the_memory_of_an_array_comes_back_for_the_next_frame(pixel_format: PixelFormat) -> None:
    convert, frames = Conversion(pixel_format), [noise_frame(640, 480, seed=number) for number in range(2)]
    first = convert(frames[0])
    address, held = first.ctypes.data, first[:2]
    second = convert(frames[1])
    assert second.ctypes.data != address
    del first
    third = convert(frames[1])
    assert third.ctypes.data not in {address, second.ctypes.data}  # a view is held
    del held
    assert convert(frames[1]).ctypes.data == address
    assert np.array_equal(second, third)


def test_contexts_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    make = swscale._Context.__init__

    def counted(self: Any, kind: Any) -> None:
        nonlocal made
        made += 1
        make(self, kind)

    frame = noise_frame(176, 144)
    Conversion("bgr24")(frame)
    monkeypatch.setattr(swscale._Context, "__init__", counted)
    for _ in range(5):
        Conversion("bgr24")(frame)
    assert made == 0
    Conversion("bgr24")(noise_frame(176, 146))
    assert made == 1


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize(
    "make",
    [
        lambda shape: np.zeros((shape[0] + 2, *shape[1:]), np.uint8),
        lambda shape: np.zeros((*shape, 1), np.uint8),
        lambda shape: np.zeros(shape, np.int8),
        lambda shape: np.zeros(shape, np.float32),
        lambda shape: bytearray(int(np.prod(shape))),
    ],
)
def test_what_is_no_place_for_the_pixels_is_refused(pixel_format: PixelFormat, make: Any) -> None:
    shape = shape_of(pixel_format, 64, 32)
    with pytest.raises(ConfigurationError, match=r"expected an array of shape .* and uint8 as out, got"):
        Conversion(pixel_format)(noise_frame(64, 32), make(shape))


def test_an_array_that_cannot_be_written_is_refused() -> None:
    out = np.zeros((32, 64), np.uint8)
    out.flags.writeable = False
    with pytest.raises(ConfigurationError, match="that can be written"):
        Conversion("gray")(noise_frame(64, 32), out)


@given(width=SIDE, height=SIDE, kind=KINDS)
def test_planes_are_views_of_the_decoders_own_memory(width: int, height: int, kind: str) -> None:
    if kind == "nv12":
        width, height = width + width % 2, height + height % 2
    frame = noise_frame(width, height, kind)
    views = planes_of(frame)
    for view, plane in zip(views, frame.planes, strict=True):
        assert view.ctypes.data == plane.buffer_ptr
        assert view.strides[0] == plane.line_size
        assert view.shape[:2] == (plane.height, plane.width)
        assert not view.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            view.flags.writeable = True
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        assert np.array_equal(view.reshape(len(view), -1), rows.view(view.dtype)[:, : view[0].size])


def test_planes_have_the_shapes_of_their_formats() -> None:
    def found(kind: str) -> list[tuple[tuple[int, ...], str]]:
        return [(view.shape, view.dtype.name) for view in planes_of(noise_frame(63, 31, kind))]

    assert found("yuv420p") == [((31, 63), "uint8"), ((16, 32), "uint8"), ((16, 32), "uint8")]
    assert found("yuv444p") == [((31, 63), "uint8")] * 3
    assert found("yuv420p10le") == [((31, 63), "uint16"), ((16, 32), "uint16"), ((16, 32), "uint16")]
    assert found("nv12") == [((31, 63), "uint8"), ((16, 32, 2), "uint8")]


def test_a_view_keeps_the_decoders_memory() -> None:
    frame = noise_frame(640, 480)
    part = luma_of(frame)[10:20, 30:40]
    expected = part.copy()
    del frame
    gc.collect()
    others = [noise_frame(640, 480, seed=number) for number in range(1, 20)]  # they would take memory that is free
    assert np.array_equal(part, expected)
    assert len(others) == 19


def test_planes_that_lie_upside_down_are_the_right_way_up() -> None:
    frame = noise_frame(64, 32, levels=(16, 235))
    flipped = filtered(frame, "vflip")
    assert flipped.planes[0].line_size < 0
    assert np.array_equal(luma_of(flipped), luma_of(frame)[::-1])
    for pixel_format in FORMATS:
        for size in (None, (32, 24)):
            right = by_pyav(flipped, pixel_format, size).astype(int)
            assert abs(Conversion(pixel_format, size)(flipped) - right).max() <= (2 if pixel_format == "gray" else 0)


def test_a_stream_of_rgb_has_no_luma() -> None:
    with pytest.raises(ConfigurationError, match="expected a frame with a plane of luma, got one in gbrp"):
        luma_of(noise_frame(64, 32, "gbrp"))
