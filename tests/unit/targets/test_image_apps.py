"""Images cut from the emulator's apps: each is found where it is, and nothing that only looks like it."""

from typing import Any

import pytest

from streamer.targets.image import THRESHOLD, ImageFinder, image_finder
from tests.support.app_screens import Hand, frame_of

pytestmark = pytest.mark.edge


def cut(image: Any, left: int, top: int, width: int, height: int) -> ImageFinder:
    return image_finder(image[top : top + height, left : left + width], THRESHOLD, "cut.png")


def corners(finder: ImageFinder, image: Any) -> list[tuple[int | float, int | float]]:
    return [(match.region.x, match.region.y) for match in finder.find(frame_of(image), None).matches]


def test_icons_that_differ_in_color_alone_are_told_apart() -> None:
    launcher = Hand().draw()
    assert corners(cut(launcher, 222, 214, 96, 96), launcher) == [(222, 214)]  # Sign in
    assert corners(cut(launcher, 582, 214, 96, 96), launcher) == [(582, 214)]  # Slow page


def test_a_switch_that_is_on_is_told_from_one_that_is_off() -> None:
    settings = Hand("settings").draw()
    on, off = (corners(cut(settings, 570, top, 120, 60), settings) for top in (340, 476))
    assert (570, 340) in on
    assert (570, 476) in off
    assert not set(on) & set(off)


def test_labels_that_differ_in_two_characters_are_told_apart() -> None:
    notices = Hand("notices").draw()
    assert corners(cut(notices, 200, 310, 300, 60), notices) == [(200, 310)]  # Toast of 0.2 s
    assert corners(cut(notices, 200, 440, 300, 60), notices) == [(200, 440)]  # Toast of 2 s
