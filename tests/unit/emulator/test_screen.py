"""The emulator's drawn screen."""

import itertools

import numpy as np
import pytest

from streamer.emulator import read_barcode
from streamer.emulator.screen import SCENE_S, Screen

SIZES = [(720, 1280), (1280, 720), (360, 640)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_frame_has_the_size_asked_for_and_says_its_number(width: int, height: int) -> None:
    frame = Screen(width, height).draw(41, 0.0)
    assert frame.shape == (height, width, 3)
    assert frame.dtype == np.uint8
    barcode = read_barcode(frame)
    assert barcode is not None
    assert barcode.counter == 41


@pytest.mark.parametrize("scene", range(3))
def test_each_scene_moves(scene: int) -> None:
    screen, start = Screen(360, 640), scene * SCENE_S
    above_the_strip = slice(0, 640 - 2 * (360 // 45))
    first, later = (screen.draw(0, start + seconds)[above_the_strip] for seconds in (0.0, 1.0))
    assert (first != later).any()


def test_the_scenes_differ_and_come_again() -> None:
    screen = Screen(360, 640)
    middles = [screen.draw(0, turn * SCENE_S)[100:500].copy() for turn in range(4)]
    changed = [np.mean(one != other) for one, other in itertools.pairwise(middles)]
    assert min(changed) > 0.1
    assert (middles[0] == middles[3]).all()


def test_a_frame_is_the_callers_to_keep() -> None:
    screen = Screen(360, 640)
    kept = screen.draw(1, 0.0)
    copy = kept.copy()
    screen.draw(2, 5.0)
    assert (kept == copy).all()
