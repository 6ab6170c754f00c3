"""Places on the screen: pixels and fractions."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.control.places import check_place, needs_size, resolve
from streamer.errors import ConfigurationError


@given(st.integers(1, 4096), st.integers(1, 4096), st.data())
def test_a_pixel_stands_for_its_middle(width: int, height: int, data: st.DataObject) -> None:
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    at = resolve(check_place((x, y)), (width, height))
    assert (int(at[0] * width), int(at[1] * height)) == (x, y)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_fraction_stays_as_it_is_and_needs_no_size(x: float, y: float) -> None:
    place = check_place((x, y))
    assert not needs_size(place)
    assert resolve(place, (720, 1280)) == (x, y)


def test_one_is_a_pixel_and_one_point_zero_the_far_edge() -> None:
    assert resolve(check_place((1, 1)), (100, 200)) == (0.015, 0.0075)
    assert resolve(check_place((1.0, 1.0)), (100, 200)) == (1.0, 1.0)


def test_numbers_of_numpy_are_pixels_and_fractions_too() -> None:
    place = check_place((np.int64(3), np.float32(0.5)))
    assert place == (3, 0.5)
    assert [type(value) for value in place] == [int, float]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ((540.5, 3), "expected x as a pixel (int) or a fraction from 0.0 to 1.0 (float), got 540.5: write int(540.5)"),
        ((0.5, -0.1), "expected y as a pixel"),
        ((0.5, float("nan")), "expected y as a pixel"),
        ((True, 0.5), "got bool"),
        (("5", 0.5), "got str"),
        ((0.5,), "expected a place as x and y, got 1 values"),
    ],
)
def test_an_invalid_place_is_an_error_that_says_so(place: tuple[object, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        check_place(place)


@pytest.mark.parametrize("place", [(720, 0), (0, 1280), (-1, 0)])
def test_a_pixel_outside_is_an_error_that_names_the_screen(place: tuple[int, int]) -> None:
    with pytest.raises(ConfigurationError, match="on a screen of 720x1280 pixels"):
        resolve(check_place(place), (720, 1280))
