"""A frame that is drawn in the encoder's own planes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.emulator.picture import Color, Picture, Sprite, gray_of, levels_of

CHANNEL = st.integers(0, 255)
PLACES = st.integers(-12, 24)


def plain(width: int, height: int, color: Color) -> Picture:
    return Picture.from_rgb(np.full((height, width, 3), color, dtype=np.uint8))


@given(st.tuples(CHANNEL, CHANNEL, CHANNEL))
def test_a_filled_part_has_the_color_that_a_converted_image_has(color: Color) -> None:
    picture = plain(16, 16, (0, 0, 0))
    picture.fill(0, 0, 16, 16, color)
    for mine, converted in zip(picture.planes, plain(16, 16, color).planes, strict=True):
        assert np.abs(mine.astype(int) - converted).max() <= 1


@pytest.mark.parametrize("luma", [16, 17, 100, 234, 235])
def test_a_gray_has_the_luma_it_is_asked_for(luma: int) -> None:
    assert levels_of(gray_of(luma)) == (luma, 128, 128)


@given(x=PLACES.map(abs), y=PLACES.map(abs), left=st.integers(0, 7), top=st.integers(0, 7))
def test_a_part_of_another_picture_is_copied_and_nothing_beside_it(x: int, y: int, left: int, top: int) -> None:
    picture, source = plain(20, 16, (0, 0, 0)), plain(8, 8, (0, 0, 0))
    source.planes[0][:] = 100 + np.arange(64).reshape(8, 8)
    picture.put(source, x, y, left=left, top=top)
    luma = np.zeros((64, 64), dtype=np.uint8) + 16
    luma[y : y + 8 - top, x : x + 8 - left] = source.planes[0][top:, left:]
    assert (picture.planes[0] == luma[:16, :20]).all()


@given(x=PLACES, y=PLACES, size=st.integers(1, 9))
def test_a_sprite_covers_what_is_below_and_can_be_partly_outside(x: int, y: int, size: int) -> None:
    picture = plain(20, 16, (0, 0, 0))
    image, cover = np.full((size, size, 3), 255, np.uint8), np.full((size, size), 255, np.uint8)
    Sprite(image, cover).put(picture, x, y)
    even = size + size % 2
    rows, columns = np.arange(16)[:, None], np.arange(20)
    is_inside = (rows >= y) & (rows < y + even) & (columns >= x) & (columns < x + even)
    assert (picture.planes[0] == np.where(is_inside, 235, 16)).all()


def test_a_sprite_that_covers_half_lets_half_through() -> None:
    picture = plain(8, 8, (0, 0, 0))
    Sprite(np.full((8, 8, 3), 255, np.uint8), np.full((8, 8), 128, np.uint8)).put(picture, 0, 0)
    assert np.abs(picture.planes[0].astype(int) - (16 + 235) / 2).max() <= 1


def test_an_image_with_an_odd_side_gets_its_last_row_or_column_twice() -> None:
    image = np.full((3, 5, 3), 200, dtype=np.uint8)
    picture = Picture.from_rgb(image)
    assert (picture.width, picture.height) == (6, 4)
    assert np.abs(picture.to_rgb().astype(int) - 200).max() <= 1
