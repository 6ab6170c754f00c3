"""The emulator's drawn screen."""

import itertools

import numpy as np
import pytest

from streamer.emulator import read_barcode
from streamer.emulator.picture import Picture
from streamer.emulator.screen import SCENE_S, Image, Screen

SIZES = [(720, 1280), (1280, 720), (360, 640)]


def drawn(screen: Screen, number: int, seconds: float, *, is_white: bool = False) -> Image:
    picture = Picture(screen.width, screen.height)
    screen.draw_into(picture, number, seconds, is_white=is_white)
    return picture.to_rgb()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_frame_has_the_size_asked_for_and_says_its_number(width: int, height: int) -> None:
    frame = drawn(Screen(width, height), 41, 0.0)
    assert frame.shape == (height, width, 3)
    assert frame.dtype == np.uint8
    barcode = read_barcode(frame)
    assert barcode is not None
    assert barcode.counter == 41


@pytest.mark.parametrize("scene", range(3))
def test_each_scene_moves(scene: int) -> None:
    screen, start = Screen(360, 640), scene * SCENE_S
    above_the_strip = slice(0, 640 - 2 * (360 // 45))
    first, later = (drawn(screen, 0, start + seconds)[above_the_strip] for seconds in (0.0, 1.0))
    assert (first != later).any()


def test_the_scenes_differ_and_come_again() -> None:
    screen = Screen(360, 640)
    middles = [drawn(screen, 0, turn * SCENE_S)[100:500] for turn in range(4)]
    changed = [np.mean(one != other) for one, other in itertools.pairwise(middles)]
    assert min(changed) > 0.1
    assert (middles[0] == middles[3]).all()


def test_a_frame_has_nothing_of_the_one_that_was_in_its_place() -> None:
    screen, used = Screen(360, 640), Picture(360, 640)
    between_clock_and_strip = slice(28, 640 - 2 * (360 // 45))
    for turn in (0, 1, 2, 0):
        screen.draw_into(used, turn, turn * SCENE_S + 0.3, is_white=turn == 2)
        fresh = drawn(screen, turn, turn * SCENE_S + 0.3, is_white=turn == 2)
        assert (used.to_rgb()[between_clock_and_strip] == fresh[between_clock_and_strip]).all()
