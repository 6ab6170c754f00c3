"""A part of the screen, in pixels or in fractions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import ConfigurationError
from streamer.watch.region import Region

LENGTHS = st.integers(1, 4096)
COORDINATES = st.integers(0, 5000) | st.floats(0, 1)


@given(x=COORDINATES, y=COORDINATES, width=COORDINATES, height=COORDINATES, screen=st.tuples(LENGTHS, LENGTHS))
def test_a_region_never_reaches_out_of_the_screen(
    x: float, y: float, width: float, height: float, screen: tuple[int, int]
) -> None:
    left, top, right, bottom = Region(x, y, width or 1, height or 1).pixels(*screen)
    assert 0 <= left <= right <= screen[0]
    assert 0 <= top <= bottom <= screen[1]


def test_a_float_is_a_fraction_and_an_int_a_pixel() -> None:
    assert Region(0, 0.5, 1.0, 1).pixels(720, 1280) == (0, 640, 720, 641)
    assert Region(1, 1, 1, 1).pixels(720, 1280) == (1, 1, 2, 2)
    assert Region.STATUS_BAR.pixels(720, 1280) == (0, 0, 720, 64)


@pytest.mark.parametrize(
    ("x", "width", "what"),
    [
        (1.5, 1, "expected x as pixels"),
        (-1, 1, "expected x as pixels"),
        (float("nan"), 1, "expected x as pixels"),
        (True, 1, "got bool"),
        ("1", 1, "got str"),
        (0, 0, "expected a width above 0, got 0"),
        (0, 0.0, "expected a width above 0, got 0"),
    ],
)
def test_an_invalid_place_is_named(x: float, width: float, what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        Region(x, 0, width, 1)
