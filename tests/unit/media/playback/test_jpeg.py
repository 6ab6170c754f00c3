"""The colors of a JPEG are those of the frame, whatever its range, color matrix and chroma, with both encoders."""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.playback.full_range import full_range_chroma, full_range_luma
from streamer.media.playback.video_frames import VideoFrame
from tests.support.examples import examples
from tests.support.video_frames import video_frame

BT709, UNSPECIFIED, BT470BG, SMPTE170M, BT2020 = 1, 2, 5, 6, 9  # AVColorSpace
LIMITED, FULL = 1, 2  # AVColorRange
WEIGHTS: Final = {BT709: (0.2126, 0.0722), BT2020: (0.2627, 0.0593)}  # of red and blue in luma
BT601: Final = (0.299, 0.114)
SUBSAMPLING: Final = {"yuv420p": (2, 2), "yuv422p": (2, 1), "yuv444p": (1, 1)}

Plane = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.float64]


class Kind(NamedTuple):
    """How a frame keeps its colors."""

    layout: str = "yuv420p"
    matrix: int = UNSPECIFIED
    is_full: bool = False


class Drawn(NamedTuple):
    """A frame, and the color of each pixel that it was made of."""

    frame: VideoFrame
    rgb: Levels


@contextlib.contextmanager
def using(encoder: str) -> Iterator[None]:
    """Encode with the extra `fast`, or as if it were not installed."""
    with pytest.MonkeyPatch.context() as patch:
        if encoder == "libavcodec":
            patch.setitem(sys.modules, "simplejpeg", None)
        else:
            importlib.import_module("simplejpeg")
        yield


@pytest.fixture(params=["libjpeg-turbo", "libavcodec"])
def each_encoder(request: pytest.FixtureRequest) -> Iterator[None]:
    with using(request.param):
        yield


def from_rgb(rgb: Levels, weights: tuple[float, float], *, is_full: bool) -> Levels:
    """Return luma and two planes of chroma, with fractions, by ITU-R BT.601, BT.709 and BT.2020."""
    red, blue = weights
    luma = rgb @ np.array([red, 1 - red - blue, blue])
    chroma = [(rgb[..., 2] - luma) / (2 - 2 * blue), (rgb[..., 0] - luma) / (2 - 2 * red)]
    if is_full:
        return np.stack([luma, chroma[0] + 128, chroma[1] + 128])
    return np.stack([16 + luma * 219 / 255, *(128 + plane * 224 / 255 for plane in chroma)])


def drawn(colors: Levels, width: int, height: int, kind: Kind = Kind()) -> Drawn:  # noqa: B008 - a tuple
    """Return a frame of squares of 16 pixels with these colors."""
    rgb: Levels = np.repeat(np.repeat(colors, 16, axis=0), 16, axis=1)[:height, :width]
    av_frame = av.VideoFrame(width, height, kind.layout)
    av_frame.colorspace, av_frame.color_range = kind.matrix, FULL if kind.is_full else LIMITED
    across, down = SUBSAMPLING[kind.layout]
    levels = from_rgb(rgb, WEIGHTS.get(kind.matrix, BT601), is_full=kind.is_full)
    for number, plane in enumerate(av_frame.planes):
        rows = np.full((plane.buffer_size // plane.line_size, plane.line_size), 77, np.uint8)
        samples = levels[number] if number == 0 else levels[number, ::down, ::across]
        rows[: samples.shape[0], : samples.shape[1]] = np.rint(np.clip(samples, 0, 255))
        plane.update(rows.tobytes())
    return Drawn(replace(video_frame(), width=width, height=height, av_frame=av_frame), rgb)


def seen(jpeg: bytes) -> tuple[av.VideoFrame, list[Plane]]:
    """Return what is in a JPEG: the frame, and its planes as they are stored."""
    context = av.CodecContext.create("mjpeg", "r")
    assert isinstance(context, av.VideoCodecContext)
    (frame,) = [*context.decode(av.Packet(jpeg)), *context.decode(None)]
    planes = [
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in frame.planes
    ]
    return frame, planes


@st.composite
def color_squares(draw: st.DrawFn, rows: int = 4, columns: int = 4) -> Levels:
    levels = draw(st.lists(st.integers(0, 255), min_size=3 * rows * columns, max_size=3 * rows * columns))
    return np.array(levels, float).reshape(rows, columns, 3)


def assert_same_colors(jpeg: bytes, expected: Levels, *, within: float) -> None:
    """Compare with the levels of a JPEG, at each sample of chroma that is not at the edge of a square."""
    frame, planes = seen(jpeg)
    assert (frame.width, frame.height) == expected.shape[2:0:-1]
    for number, plane in enumerate(planes):
        across, down = -(-frame.width // plane.shape[1]), -(-frame.height // plane.shape[0])
        wanted = expected[number, ::down, ::across][: plane.shape[0], : plane.shape[1]]
        assert np.abs(plane - wanted).max() <= within, number


def kinds(*matrices: int, layouts: tuple[str, ...] = ("yuv420p",)) -> st.SearchStrategy[Kind]:
    return st.builds(Kind, st.sampled_from(layouts), st.sampled_from(matrices), st.booleans())


@given(
    color_squares(),
    st.integers(1, 64),
    st.integers(1, 64),
    kinds(UNSPECIFIED, BT470BG, SMPTE170M, layouts=tuple(SUBSAMPLING)),
)
@examples(25)
@pytest.mark.parametrize("encoder", ["libjpeg-turbo", "libavcodec"])
def test_a_jpeg_of_bt601_has_the_levels_of_the_frame_in_full_range(
    encoder: str, colors: Levels, width: int, height: int, kind: Kind
) -> None:
    made = drawn(colors, width, height, kind)
    with using(encoder):
        jpeg = made.frame.encode("jpeg", quality=100)
    if width > 1 and height > 1:
        assert seen(jpeg)[0].format.name == kind.layout.replace("yuv", "yuvj")
    assert_same_colors(jpeg, from_rgb(made.rgb, BT601, is_full=True), within=2 if encoder == "libjpeg-turbo" else 3)


@given(color_squares(), st.integers(1, 32), st.integers(1, 32), kinds(BT709, BT2020))
@examples(25)
@pytest.mark.parametrize("encoder", ["libjpeg-turbo", "libavcodec"])
def test_a_jpeg_of_another_matrix_is_converted_to_bt601(
    encoder: str, colors: Levels, halves_across: int, halves_down: int, kind: Kind
) -> None:
    if encoder == "libavcodec":  # libswscale mixes the chroma of pixels beside each other
        colors = np.broadcast_to(colors[:1, :1], colors.shape)
    made = drawn(colors, 2 * halves_across, 2 * halves_down, kind)
    with using(encoder):
        jpeg = made.frame.encode("jpeg", quality=100)
    assert_same_colors(jpeg, from_rgb(made.rgb, BT601, is_full=True), within=4)


def test_stretching_limited_range_is_a_level_from_the_exact_value() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    luma, chroma = full_range_luma(levels).astype(float), full_range_chroma(levels).astype(float)
    assert np.abs(luma - (np.clip(levels, 16, 235).astype(float) - 16) * 255 / 219).max() < 1
    assert np.abs(chroma - np.clip((levels.astype(float) - 128) * 255 / 224 + 128, 0, 255)).max() < 1
    assert (luma[1, 0], luma[14, 11], chroma[8, 0]) == (0, 255, 128)


def test_stretching_goes_on_after_a_band() -> None:
    levels = np.arange(600 * 5, dtype=np.uint32).reshape(600, 5).astype(np.uint8)
    for stretched in (full_range_luma, full_range_chroma):
        rows = [stretched(levels[row : row + 1]) for row in range(600)]
        assert np.array_equal(stretched(levels), np.concatenate(rows))


@pytest.mark.usefixtures("each_encoder")
@pytest.mark.parametrize(("width", "height"), [(720, 1280), (1280, 720), (719, 1279)])
def test_a_turned_screen_and_an_odd_one_are_encoded_whole(width: int, height: int) -> None:
    colors = np.random.default_rng(3).integers(0, 256, (-(-height // 16), -(-width // 16), 3)).astype(float)
    made = drawn(colors, width, height)
    expected = from_rgb(made.rgb, BT601, is_full=True)
    assert_same_colors(made.frame.encode("jpeg", quality=100), expected, within=3)


@pytest.mark.usefixtures("each_encoder")
@pytest.mark.parametrize("matrix", [SMPTE170M, BT709])
@pytest.mark.parametrize("size", [(64, 96), (33, 47), (300, 400)])
def test_a_scaled_jpeg_has_the_size_and_the_colors(size: tuple[int, int], matrix: int) -> None:
    color = np.full((8, 12, 3), (200.0, 90.0, 40.0))
    made = drawn(color, 128, 96, Kind(matrix=matrix))
    expected = np.broadcast_to(from_rgb(made.rgb[:1, :1], BT601, is_full=True), (3, size[1], size[0]))
    assert_same_colors(made.frame.encode("jpeg", quality=100, size=size), expected, within=4)


@pytest.mark.usefixtures("each_encoder")
def test_a_deep_frame_becomes_a_jpeg() -> None:
    deep = drawn(np.full((2, 2, 3), (30.0, 160.0, 90.0)), 32, 32)
    av_frame = deep.frame.av_frame.reformat(format="yuv420p10le")
    jpeg = replace(deep.frame, av_frame=av_frame).encode("jpeg", quality=100)
    assert_same_colors(jpeg, from_rgb(deep.rgb, BT601, is_full=True), within=4)


def noisy_frame() -> VideoFrame:
    """Return a frame of random squares of four pixels."""
    noise = np.kron(np.random.default_rng(5).integers(0, 256, (60, 60, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    av_frame = av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format="yuv420p")
    return replace(video_frame(), width=240, height=240, av_frame=av_frame)


@pytest.mark.usefixtures("each_encoder")
def test_a_better_quality_is_a_larger_file() -> None:
    frame = noisy_frame()
    sizes = [len(frame.encode("jpeg", quality=quality)) for quality in (5, 50, 75, 90)]
    assert sizes == sorted(set(sizes))


def test_both_encoders_mean_the_same_by_a_quality() -> None:
    frame = noisy_frame()
    pixels = frame.to_ndarray("rgb24").astype(float)

    def error(quality: int) -> float:
        _, planes = seen(frame.encode("jpeg", quality=quality))
        luma = from_rgb(pixels, BT601, is_full=True)[0]
        return float(np.abs(planes[0] - luma).mean())

    turbo = [error(quality) for quality in (50, 75, 90)]
    with using("libavcodec"):
        libavcodec = [error(quality) for quality in (50, 75, 90)]
    assert np.allclose(turbo, libavcodec, rtol=0.5)
