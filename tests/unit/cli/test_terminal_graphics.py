"""What is written is what the terminal shows, and no more than what has changed."""

import re

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.cli.terminal_graphics import (
    QUESTIONS,
    TOLERANCE,
    Abilities,
    Blocks,
    Grid,
    Kitty,
    Picture,
    Sixel,
    picture,
    read_answers,
    sixel,
    typed,
    xterm_colors,
)
from tests.support.terminal_screen import Screen, read_sixel

GRID = Grid(20, 9, (8, 16))
FRAME = (160, 128)  # fits the grid's first eight rows exactly


def taken_over() -> Screen:
    screen = Screen(GRID.columns, GRID.rows)
    screen.write(b"\x1b[?1049h")
    return screen


def pixels_of(drawn: Picture, *, seed: int = 0) -> npt.NDArray[np.uint8]:
    layout = drawn.layout(FRAME, GRID)
    assert layout is not None
    return np.random.default_rng(seed).integers(0, 256, (*layout.pixels[::-1], 3), np.uint8)


def draw(drawn: Picture, pixels: npt.NDArray[np.uint8], screen: Screen) -> bytes:
    layout = drawn.layout(FRAME, GRID)
    assert layout is not None
    data = drawn.draw(pixels, layout)
    screen.write(data)
    return data


def test_half_blocks_have_each_pixel_s_color() -> None:
    drawn, screen = Blocks(truecolor=True), taken_over()
    pixels = pixels_of(drawn)
    draw(drawn, pixels, screen)
    assert (screen.colors[:16] == pixels).all()
    assert screen.text == ""


def test_without_24_bits_of_color_they_have_the_nearest_of_256() -> None:
    drawn, screen = Blocks(truecolor=False), taken_over()
    pixels = pixels_of(drawn)
    assert b";2;" not in draw(drawn, pixels, screen)
    far = np.abs(screen.colors[:16].astype(int) - pixels).max()
    assert 0 < far <= 48  # half the widest step of the cube, and a bit


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_no_color_of_256_is_much_nearer(color: tuple[int, int, int]) -> None:
    levels = [0, 95, 135, 175, 215, 255]
    table = [(r, g, b) for r in levels for g in levels for b in levels]
    table += [(8 + 10 * shade,) * 3 for shade in range(24)]
    far = ((np.array(table) - np.array(color)) ** 2).sum(axis=-1)
    number = int(xterm_colors(np.array(color, np.uint8)))
    assert far[number - 16] <= far.min() + 3 * 5**2


@pytest.mark.parametrize("kind", ["blocks", "sixel", "kitty"])
def test_nothing_is_written_while_nothing_changes_but_noise(kind: str) -> None:
    drawn, screen = picture(kind, truecolor=True), taken_over()  # type: ignore[arg-type]
    pixels = pixels_of(drawn)
    assert draw(drawn, pixels, screen)
    noise = np.random.default_rng(1).integers(0, TOLERANCE + 1, pixels.shape, np.uint8)
    assert draw(drawn, np.clip(pixels.astype(int) + noise, 0, 255).astype(np.uint8), screen) == b""


def test_a_slow_fade_is_drawn_although_no_step_of_it_is_more_than_noise() -> None:
    drawn, screen = Blocks(truecolor=True), taken_over()
    pixels = np.zeros_like(pixels_of(drawn))
    for level in range(0, 200, 4):
        draw(drawn, pixels + np.uint8(level), screen)
    assert screen.colors[:16].min() >= 196 - TOLERANCE


def test_only_the_cells_that_have_changed_are_written() -> None:
    drawn, screen = Blocks(truecolor=True), taken_over()
    pixels = pixels_of(drawn)
    draw(drawn, pixels, screen)
    before, pixels = screen.drawn, pixels.copy()
    pixels[5, 3:7] ^= 128
    draw(drawn, pixels, screen)
    assert screen.drawn - before == 4
    assert (screen.colors[:16] == pixels).all()


@given(st.data())
def test_after_any_changes_half_blocks_show_the_last_frame(data: st.DataObject) -> None:
    drawn, screen = Blocks(truecolor=True), taken_over()
    pixels = np.zeros_like(pixels_of(drawn))
    for _ in range(data.draw(st.integers(1, 4))):
        pixels = pixels.copy()
        left, top = data.draw(st.integers(0, 19)), data.draw(st.integers(0, 15))
        color = data.draw(st.tuples(*[st.sampled_from([0, 100, 255])] * 3))
        pixels[top : top + data.draw(st.integers(1, 9)), left : left + data.draw(st.integers(1, 9))] = color
        draw(drawn, pixels, screen)
    assert (screen.colors[:16] == pixels).all()


def test_kitty_gets_every_pixel_and_one_image_stays() -> None:
    drawn, screen = Kitty(), taken_over()
    for seed in range(3):
        pixels = pixels_of(drawn, seed=seed)
        assert max(len(chunk) for chunk in re.findall(rb"\x1b_G[^\x1b]*\x1b", draw(drawn, pixels, screen))) < 4200
        (image,) = screen.images.values()
        assert (image == pixels).all()
    screen.write(drawn.erase())
    assert screen.images == {}


def test_kitty_scales_up_what_has_fewer_pixels_than_the_terminal() -> None:
    layout = Kitty().layout((80, 64), GRID)
    assert layout is not None
    assert (layout.columns, layout.rows, layout.pixels) == (20, 8, (80, 64))


def test_sixels_are_near_in_color_and_exact_in_black_and_white() -> None:
    gray = np.repeat(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], 30, axis=0).repeat(3, axis=2)
    shown = read_sixel(sixel(gray).decode().removeprefix("\x1bP").removesuffix("\x1b\\"))
    assert shown.shape == gray.shape
    assert (shown[:, 0] == 0).all()
    assert (shown[:, -1] == 255).all()
    coarse = [each[:28].reshape(7, 4, 16, 4, 3).mean(axis=(1, 3)) for each in (gray.astype(int), shown.astype(int))]
    assert np.abs(coarse[0] - coarse[1]).max() < 20  # what the dither makes of four pixels by four


def test_sixels_are_drawn_again_in_those_rows_that_have_changed() -> None:
    drawn, screen = Sixel(), taken_over()
    pixels = pixels_of(drawn)
    draw(drawn, pixels, screen)
    assert [(cell, image.shape) for cell, image in screen.sixels] == [((0, 0), (128, 160, 3))]
    screen.sixels.clear()
    pixels = pixels.copy()
    pixels[[20, 40, 100], 5] ^= 128
    draw(drawn, pixels, screen)
    assert [(cell, len(image)) for cell, image in screen.sixels] == [((1, 0), 32), ((6, 0), 16)]


@given(
    st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
    st.tuples(st.integers(0, 500), st.integers(0, 300)),
    st.tuples(st.integers(1, 40), st.integers(1, 60)),
    st.sampled_from(["blocks", "sixel", "kitty"]),
)
def test_a_frame_fits_above_the_status_line(
    frame: tuple[int, int], size: tuple[int, int], cell: tuple[int, int], kind: str
) -> None:
    layout = picture(kind, truecolor=True).layout(frame, Grid(*size, cell))  # type: ignore[arg-type]
    if layout is None:
        assert size[0] < 1 or size[1] < 2
        return
    assert 0 <= layout.left <= layout.left + layout.columns <= size[0]
    assert 0 <= layout.top <= layout.top + layout.rows <= size[1] - 1
    assert min(layout.columns, layout.rows, *layout.pixels) > 0


def test_a_frame_keeps_its_shape() -> None:
    layout = Blocks(truecolor=True).layout((720, 1280), Grid(120, 41))
    assert layout is not None
    assert (layout.columns, layout.rows, layout.pixels) == (45, 40, (45, 80))
    assert (layout.left, layout.top) == (37, 0)


@pytest.mark.parametrize(
    ("persona", "abilities"),
    [
        ("kitty", Abilities(kitty=True, truecolor=True, cell=(8, 16))),
        ("sixel", Abilities(sixel=True, truecolor=True, cell=(8, 16))),
        ("blocks", Abilities()),
        ("silent", None),
    ],
)
def test_a_terminal_says_what_it_can_do(persona: str, abilities: Abilities | None) -> None:
    answer = Screen(80, 24, persona).answer(QUESTIONS)  # type: ignore[arg-type]
    assert read_answers(answer) == abilities
    assert read_answers(answer[:-1]) is None
    if abilities is not None:
        assert abilities.best == persona


@pytest.mark.parametrize(
    ("said", "cell"), [("20;10", (10, 20)), ("100;100", (100, 100)), ("9999;9999", None), ("0;8", None)]
)
def test_a_cell_of_no_size_or_a_huge_one_is_no_answer(said: str, cell: tuple[int, int] | None) -> None:
    abilities = read_answers(f"\x1b[6;{said}t\x1b[?62;4c".encode())
    assert abilities is not None
    assert abilities.cell == cell


@given(st.binary(max_size=60))
def test_whatever_a_terminal_answers_is_read(data: bytes) -> None:
    read_answers(data + b"\x1b[?62;4c")
    typed(data)


@pytest.mark.parametrize("late", ["kitty", "sixel", "blocks"])
def test_answers_that_come_late_are_not_what_was_typed(late: str) -> None:
    answer = Screen(80, 24, late).answer(QUESTIONS)  # type: ignore[arg-type]
    assert typed(b"a" + answer + b"\x1b[A\x1bOPq") == b"aq"
