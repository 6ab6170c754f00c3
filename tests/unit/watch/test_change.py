"""What changed between frames: blocks compared with a reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import ConfigurationError
from streamer.watch.change import REGIONS_LIMIT, THRESHOLD, Blocks, Look, Reference, grid_of, mask_of, regions_of
from streamer.watch.region import Region

SIZE = (160, 320)
SHAPE = (20, 10)
GRAY = np.full((2, *SHAPE), 128, np.uint8)  # the planes of chroma


def blocks(level: int = 100, **changed: int) -> Blocks:
    """Return the luma of a plain frame; `r3c4=120` sets the block in row 3 and column 4."""
    plane = np.full(SHAPE, level, np.uint8)
    for place, value in changed.items():
        row, column = place[1:].split("c")
        plane[int(row), int(column)] = value
    return np.stack([plane, *GRAY])


class Comparing:
    """Frames compared one after another, 30 a second."""

    def __init__(self, *, region: Region | None = None, ignore: tuple[Region, ...] = ()) -> None:
        self._reference = Reference(region=region, ignore=ignore)
        self._count = 0

    def look(self, plane: Blocks, size: tuple[int, int] = SIZE) -> Look:
        self._count += 1
        return self._reference.compare(plane, size, rtp_time=3000 * self._count, arrival_ns=self._count)


@given(width=st.integers(160, 4096), height=st.integers(160, 4096))
def test_blocks_have_about_16_pixels_each_way(width: int, height: int) -> None:
    columns, rows = grid_of(width, height)
    assert 14 <= width / columns <= 18
    assert 15 <= height / rows <= 17


def test_the_first_frame_is_the_reference_and_no_change() -> None:
    look = Comparing().look(blocks())
    assert look.is_first
    assert look.changed is None


@given(level=st.integers(0, 255), other=st.integers(0, 255))
def test_a_block_has_changed_when_its_mean_differs_by_more_than_the_threshold(level: int, other: int) -> None:
    comparing = Comparing()
    comparing.look(blocks(level))
    assert (comparing.look(blocks(level, r5c5=other)).changed is not None) == (abs(level - other) > THRESHOLD)


def test_a_change_of_color_at_the_same_luma_is_a_change() -> None:
    comparing, colored = Comparing(), blocks()
    comparing.look(blocks())
    colored[2, 4, 4] = 128 + 2 * THRESHOLD + 1
    assert comparing.look(colored).region == Region(64, 64, 16, 16)


def test_a_change_is_reported_with_its_region_in_pixels() -> None:
    comparing = Comparing()
    comparing.look(blocks())
    assert comparing.look(blocks(r3c4=200, r5c5=0)).region == Region(64, 48, 32, 48)


def test_changes_too_small_to_count_add_up() -> None:
    comparing = Comparing()
    seen = [comparing.look(blocks(100 + step)).changed is not None for step in range(4 * THRESHOLD)]
    assert [step for step, changed in enumerate(seen) if changed] == [THRESHOLD + 1, 2 * (THRESHOLD + 1), 21]


def test_a_change_and_its_reversal_are_two_changes() -> None:
    comparing = Comparing()
    looks = [comparing.look(plane) for plane in (blocks(), blocks(r1c1=0), blocks(), blocks())]
    assert [look.changed is not None for look in looks] == [False, True, True, False]


def test_only_the_region_counts_and_nothing_that_is_ignored() -> None:
    comparing = Comparing(region=Region(0, 0, 1.0, 0.5), ignore=(Region(0, 0, 32, 32),))
    comparing.look(blocks())
    assert comparing.look(blocks(r15c5=255)).changed is None
    assert comparing.look(blocks(r1c1=255)).changed is None
    assert comparing.look(blocks(r2c2=255)).changed is not None


def test_a_screen_that_turned_has_changed_everywhere() -> None:
    comparing = Comparing(ignore=(Region(0, 0, 16, 16),))
    comparing.look(blocks())
    look = comparing.look(np.full((3, *SHAPE[::-1]), 100, np.uint8), SIZE[::-1])
    assert look.changed is not None
    assert np.count_nonzero(look.changed) == 199
    assert look.region == Region(0, 0, 320, 160)


@pytest.mark.parametrize(
    ("region", "ignore"),
    [(None, (Region(0.0, 0.0, 1.0, 1.0),)), (Region(500, 0, 10, 10), ()), (Region(0, 0, 8, 8), (Region(8, 8, 1, 1),))],
)
def test_nothing_left_to_watch_is_an_error(region: Region | None, ignore: tuple[Region, ...]) -> None:
    with pytest.raises(ConfigurationError, match="expected something to watch of a screen of 160x320 pixels"):
        Comparing(region=region, ignore=ignore).look(blocks())


@given(
    width=st.integers(1, 4096),
    height=st.integers(1, 4096),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
    size=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
)
def test_every_pixel_of_a_region_is_in_a_block_that_counts(
    width: int, height: int, x: float, y: float, size: tuple[float, float]
) -> None:
    region = Region(x, y, *size)
    left, top, end, bottom = region.pixels(width, height)
    columns, rows = grid_of(width, height)
    if end == left or bottom == top:
        return
    mask = mask_of((rows, columns), (width, height), region, ())
    assert mask is not None
    for row, column in ((top, left), (bottom - 1, end - 1)):
        assert mask[row * rows // height, column * columns // width]


@given(
    cells=st.sets(st.tuples(st.integers(0, 19), st.integers(0, 9)), min_size=1, max_size=40),
)
def test_every_changed_block_is_in_one_of_the_regions(cells: set[tuple[int, int]]) -> None:
    changed = np.zeros(SHAPE, np.bool_)
    for cell in cells:
        changed[cell] = True
    regions = regions_of(changed, SIZE)
    assert 1 <= len(regions) <= REGIONS_LIMIT
    if len(regions) < REGIONS_LIMIT:
        covered = [region.pixels(*SIZE) for region in regions]
        for row, column in cells:
            x, y = column * 16 + 8, row * 16 + 8
            assert any(left <= x < right and top <= y < bottom for left, top, right, bottom in covered)


def test_regions_are_those_of_blocks_that_touch_the_largest_first() -> None:
    changed = np.zeros(SHAPE, np.bool_)
    changed[0, 0] = changed[10, 5] = changed[11, 6] = True
    assert regions_of(changed, SIZE) == (Region(80, 160, 32, 32), Region(0, 0, 16, 16))
