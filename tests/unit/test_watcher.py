"""Frames reduced to blocks."""

import av
import numpy as np
import numpy.typing as npt
import pytest

from streamer.watch.change import Look, Reference, grid_of
from streamer.watcher import BlockMeans

WIDTH, HEIGHT = 328, 120  # 20.5 by 7.5 blocks
GRAY, GREEN = (120, 128, 128), (120, 78, 78)  # Y, Cb and Cr

Plane = npt.NDArray[np.uint8]


def frame_of(planes: list[Plane], *, color_range: int = 2) -> av.VideoFrame:
    """Return a frame in yuv420p; the range is full by default."""
    frame = av.VideoFrame(planes[0].shape[1], planes[0].shape[0], "yuv420p")
    frame.color_range = color_range
    for plane, values in zip(frame.planes, planes, strict=True):
        plane.update(np.pad(values, ((0, 0), (0, plane.line_size - values.shape[1]))).tobytes())
    return frame


def plain(width: int = WIDTH, height: int = HEIGHT) -> list[Plane]:
    shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    return [np.full(shape, value, np.uint8) for shape, value in zip(shapes, GRAY, strict=True)]


def look_at(changed: list[Plane]) -> Look:
    """Compare planes with a gray frame."""
    means, reference = BlockMeans(), Reference()
    looks = [
        reference.compare(means(frame_of(planes)), (WIDTH, HEIGHT), rtp_time=0, arrival_ns=0)
        for planes in (plain(), changed)
    ]
    return looks[1]


@pytest.mark.parametrize("size", [(328, 120), (720, 1280), (48, 32), (16, 16), (6, 2)])
def test_a_block_is_the_mean_of_its_pixels(size: tuple[int, int]) -> None:
    width, height = size
    columns, rows = grid_of(width, height)
    planes = plain(width, height)
    planes[0] = np.random.default_rng(1).integers(0, 256, (height, width), np.uint8)
    blocks = BlockMeans()(frame_of(planes))
    assert blocks.shape == (3, rows, columns)
    assert np.abs(blocks[1:].astype(int) - 128).max() <= 1
    if height >= 16 and not (width % columns or height % rows):
        means = planes[0].reshape(rows, height // rows, columns, width // columns).mean(axis=(1, 3))
        assert np.abs(blocks[0] - means).max() <= 2


def test_the_range_of_a_frame_does_not_matter() -> None:
    limited, full = plain(), plain()
    limited[0][:], full[0][:] = 235, 255
    difference = BlockMeans()(frame_of(limited, color_range=1)).astype(int) - BlockMeans()(frame_of(full))
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("row", range(48, 64))
def test_a_line_of_one_pixel_is_a_change_in_any_row(row: int) -> None:
    planes = plain()
    planes[0][row, 100:200] = 255
    assert look_at(planes).changed is not None


@pytest.mark.parametrize("row", range(48, 64, 2))
def test_another_color_of_the_same_luma_is_a_change_from_eight_rows_on(row: int) -> None:
    planes = plain()
    for plane, value in zip(planes, GREEN, strict=True):
        step = 1 if plane is planes[0] else 2
        plane[row // step : (row + 8) // step, 100 // step : 200 // step] = value
    assert look_at(planes).changed is not None
