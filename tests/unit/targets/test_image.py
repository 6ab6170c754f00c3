"""Finding images on frames that are drawn here."""

from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.errors import ConfigurationError, MissingExtraError
from streamer.media.playback.video_frames import VideoFrame
from streamer.targets.image import THRESHOLD, ImageFinder, image_finder
from streamer.watch.region import Region
from tests.support.video_frames import frame_with

WIDTH, HEIGHT = 240, 320
GREEN, RED, WHITE = (19, 115, 51), (197, 57, 41), (255, 255, 255)


def icon(color: tuple[int, int, int] = GREEN, side: int = 48, bar: int = 20) -> Any:
    """Return a colored square with a white angle on it; `bar` is how long its second leg is, of 48."""
    cv2 = pytest.importorskip("cv2")
    large = np.full((side * 4, side * 4, 3), color, np.uint8)
    unit = side * 4 // 48
    large[10 * unit : 38 * unit, 12 * unit : 18 * unit] = WHITE
    large[32 * unit : 38 * unit, 12 * unit : (14 + bar) * unit] = WHITE
    return cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA)


def screen(*icons: tuple[Any, int, int]) -> VideoFrame:
    """Return a frame with a gradient, and images at places."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels = np.stack([60 + x // 4, 60 + y // 4, 150 - x // 8], axis=2).astype(np.uint8)
    for image, left, top in icons:
        pixels[top : top + image.shape[0], left : left + image.shape[1]] = image
    return frame_with(pixels)


def finder(image: Any, threshold: float = THRESHOLD) -> ImageFinder:
    return image_finder(image, threshold, "icon.png")


EMPTY: Final = screen()


@settings(max_examples=40)
@given(st.integers(0, WIDTH - 48), st.integers(0, HEIGHT - 48))
def test_an_image_is_found_exactly_where_it_is(left: int, top: int) -> None:
    found = finder(icon()).find(screen((icon(), left, top)), None)
    (match,) = found.matches
    assert match.region == Region(left, top, 48, 48)
    assert match.score > 0.95
    assert match.center == (left + 24, top + 24)
    assert found.nearest is None


def test_what_is_not_there_is_not_found_and_the_nearest_place_is_told() -> None:
    other = icon(bar=4)
    found = finder(icon()).find(screen((other, 100, 40)), None)
    assert found.matches == ()
    assert found.nearest is not None
    assert found.nearest.region == Region(100, 40, 48, 48)
    assert 0.2 < found.nearest.score < THRESHOLD


def test_an_icon_of_another_color_is_another_icon() -> None:
    frame = screen((icon(RED), 20, 40), (icon(GREEN), 120, 40))
    assert [match.region.x for match in finder(icon(GREEN)).find(frame, None).matches] == [120]
    assert [match.region.x for match in finder(icon(RED)).find(frame, None).matches] == [20]


def test_a_button_that_is_grayed_out_is_another_button() -> None:
    faded = (icon().astype(float) * 0.4 + 140).astype(np.uint8)
    assert finder(icon()).find(screen((faded, 60, 60)), None).matches == ()


def test_several_are_found_in_reading_order() -> None:
    frame = screen((icon(), 150, 200), (icon(), 150, 21), (icon(), 20, 24), (icon(), 20, 203))
    matches = finder(icon()).find(frame, None).matches
    assert [(match.region.x, match.region.y) for match in matches] == [(20, 24), (150, 21), (20, 203), (150, 200)]


def test_only_a_part_of_the_screen_is_searched_and_a_match_lies_in_it_wholly() -> None:
    frame = screen((icon(), 20, 40), (icon(), 150, 40))
    right = finder(icon()).find(frame, Region(0.5, 0.0, 0.5, 1.0))
    assert [match.region for match in right.matches] == [Region(150, 40, 48, 48)]
    assert finder(icon()).find(frame, Region(0, 0, 60, 320)).matches == ()
    assert finder(icon()).find(frame, Region(0, 0, 20, 20)).matches == ()
    assert finder(icon()).find(frame, Region(WIDTH, HEIGHT, 20, 20)).matches == ()


@pytest.mark.parametrize("scale", [0.75, 1.5])
def test_an_image_from_a_screen_of_another_resolution_is_found(scale: float) -> None:
    searched = finder(icon())
    side = round(48 * scale)
    for left, top in ((30, 50), (101, 173)):
        (match,) = searched.find(screen((icon(side=side), left, top)), None).matches
        assert abs(int(match.region.width) - side) <= 1
        assert match.center == pytest.approx((left + side / 2, top + side / 2), abs=1.5)
    assert searched.find(screen((icon(), 30, 50)), None).matches  # and in its own size again


def test_what_is_transparent_may_look_like_anything() -> None:
    rgba = np.dstack([icon(), np.zeros((48, 48), np.uint8)])
    rgba[8:40, 8:40, 3] = 255
    on_white = np.full((48, 48, 3), 255, np.uint8)
    on_white[8:40, 8:40] = icon()[8:40, 8:40]
    frame = screen((on_white, 90, 120))
    (match,) = finder(rgba).find(frame, None).matches
    assert match.region == Region(90, 120, 48, 48)
    assert finder(icon()).find(frame, None).matches == ()
    assert finder(rgba).find(screen((icon(bar=4), 90, 120)), None).matches == ()


def test_gray_pixels_are_found() -> None:
    gray = np.repeat(icon()[..., 1:2], 3, axis=2)
    assert len(finder(gray[..., 0]).find(screen((gray, 90, 120)), None).matches) == 1


def test_a_screen_of_one_color_has_nothing_on_it() -> None:
    for value in (0, 128, 255):
        assert finder(icon()).find(frame_with(np.full((HEIGHT, WIDTH, 3), value, np.uint8)), None).matches == ()


@pytest.mark.parametrize(
    ("image", "threshold", "said"),
    [
        (np.full((48, 48, 3), 90, np.uint8), 0.9, "which is of one color: cut out more"),
        (np.zeros((48, 48, 4), np.uint8), 0.9, "which is of one color"),
        (np.zeros((7, 48, 3), np.uint8), 0.9, "at least 8 pixels each way, got 48x7"),
        (np.zeros((48, 48, 3), np.float32), 0.9, "got float32 of shape"),
        (np.zeros((48, 48, 2), np.uint8), 0.9, "got uint8 of shape"),
        (np.zeros((48, 48, 3), np.uint8), 0.0, "expected a threshold above 0 and up to 1, got 0"),
    ],
    ids=["plain", "transparent", "thin", "floats", "channels", "threshold"],
)
def test_an_image_that_cannot_be_found_is_refused(image: Any, threshold: float, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        image_finder(image, threshold, "icon.png")


def test_the_extra_is_named_if_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"get_by_image\(\) needs the extra 'vision': pip install"):
        image_finder(icon(), 0.9, "icon.png")
