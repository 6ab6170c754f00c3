"""The memory of arrays that died comes back, and no array shares it with one that lives."""

import gc
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest

from streamer.media.playback.array_pool import LEAST, SLACK, ArrayPool

SHAPE = (256, 512, 3)
SIZE = 256 * 512 * 3


def address(array: Any) -> int:
    return int(array.ctypes.data)


def test_an_array_is_plain_and_its_own() -> None:
    array = ArrayPool().take(SHAPE)
    assert array.shape == SHAPE
    assert array.dtype == np.uint8
    assert array.flags.c_contiguous
    assert array.flags.writeable


def test_the_memory_of_an_array_that_died_comes_back() -> None:
    pool = ArrayPool()
    array = pool.take(SHAPE)
    first = address(array)
    assert pool.free_bytes == 0
    del array
    assert pool.free_bytes == SIZE + SLACK
    assert address(again := pool.take(SHAPE)) == first
    assert pool.free_bytes == 0
    assert again.shape == SHAPE


@pytest.mark.parametrize(
    "view_of",
    [
        lambda array: array[10:20, ::2],
        lambda array: array[..., 0][5],
        lambda array: array.reshape(-1)[100:],
        lambda array: array.transpose(2, 0, 1)[1:],
        lambda array: array.view(np.int8),
        lambda array: np.asarray(memoryview(array)),
        lambda array: np.from_dlpack(array)[3:],
        lambda array: np.lib.stride_tricks.sliding_window_view(array, 3, axis=0)[4],
    ],
)
def test_a_view_keeps_the_memory_until_it_dies_too(view_of: Any) -> None:
    pool = ArrayPool()
    array = pool.take(SHAPE)
    first = address(array)
    view = view_of(array)
    view_of_view = view[1:]
    del array
    gc.collect()
    others = [pool.take(SHAPE)]
    del view
    gc.collect()
    others.append(pool.take(SHAPE))
    assert first not in map(address, others)
    del view_of_view
    gc.collect()
    assert address(pool.take(SHAPE)) == first


def test_an_array_in_a_cycle_gives_its_memory_back_when_the_collector_comes() -> None:
    pool = ArrayPool()
    cycle: list[Any] = [pool.take(SHAPE)]
    cycle.append(cycle)
    first = address(cycle[0])
    del cycle
    gc.collect()
    assert address(pool.take(SHAPE)) == first


def test_arrays_of_one_size_share_memory_whatever_their_shape() -> None:
    pool = ArrayPool()
    first = address(pool.take((SIZE,)))
    assert address(pool.take(SHAPE)) == first


def test_small_arrays_are_not_kept() -> None:
    pool = ArrayPool()
    pool.take((LEAST - 1,))
    assert pool.free_bytes == 0


def test_no_more_waits_than_the_limit_for_each_size() -> None:
    pool = ArrayPool(free_limit=3 * SIZE)
    arrays = [pool.take(SHAPE) for _ in range(10)]
    addresses = [address(array) for array in arrays]
    for array in arrays:  # the last to die is the first to come back
        assert array is not None
    while arrays:
        del array
        array = arrays.pop(0)
    del array
    assert pool.free_bytes == 3 * (SIZE + SLACK)
    kept = [pool.take(SHAPE) for _ in range(3)]
    assert [address(array) for array in kept] == addresses[:-4:-1]


def test_one_piece_waits_even_if_it_is_larger_than_the_limit() -> None:
    pool = ArrayPool(free_limit=1)
    first = address(pool.take(SHAPE))
    assert pool.free_bytes == SIZE + SLACK
    assert address(pool.take(SHAPE)) == first


def test_only_the_latest_sizes_wait() -> None:
    pool = ArrayPool(sizes=2)
    held = pool.take((SIZE,))
    for extra in (1, 2, 3):
        pool.take((SIZE + extra,))
    assert pool.free_bytes == 2 * (SIZE + SLACK) + 2 + 3
    del held  # of a size that is forgotten
    assert pool.free_bytes == 2 * (SIZE + SLACK) + 2 + 3


def test_memory_of_a_size_that_is_forgotten_is_freed_also_while_an_array_of_it_lives() -> None:
    pool = ArrayPool(sizes=1)
    tracemalloc.start()
    try:
        held, another, waits = (pool.take((SIZE,)) for _ in range(3))
        del waits
        with_three, _ = tracemalloc.get_traced_memory()
        other_size = pool.take((LEAST,))
        del another
        with_one, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert with_three - with_one > 2 * SIZE - LEAST - 10_000
    assert (held.size, other_size.size) == (SIZE, LEAST)


def test_what_is_written_behind_an_array_hits_nothing() -> None:
    pool = ArrayPool()
    arrays = [pool.take((SIZE,)), pool.take((100,))]
    for array in arrays:
        behind = np.ndarray(SLACK, np.uint8, buffer=array.base, offset=array.size)
        behind[:] = 1


def test_threads_never_share_memory() -> None:
    pool = ArrayPool()
    wrong: list[int] = []

    def work(number: int) -> None:
        for round_number in range(200):
            held = [pool.take((LEAST,)) for _ in range(1 + round_number % 3)]
            for array in held:
                array[:] = number
            wrong.extend(number for array in held if not (array == number).all())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
