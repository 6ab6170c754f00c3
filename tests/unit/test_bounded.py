from hypothesis import given
from hypothesis import strategies as st

from streamer.bounded import BoundedMap, BoundedQueue, RateLimit

_SIZES = st.lists(st.binary(max_size=12), max_size=40)


@given(_SIZES)
def test_a_queue_never_holds_more_items_or_bytes_than_its_limits(items: list[bytes]) -> None:
    queue = BoundedQueue[bytes](max_items=5, max_bytes=30, size_of=len)
    kept = [item for item in items if queue.put(item)]
    assert len(queue) <= 5
    assert queue.budget.bytes == sum(map(len, kept)) <= 30
    assert [queue.take() for _ in range(len(queue))] == kept
    assert queue.budget.bytes == queue.budget.items == 0


def test_a_cleared_queue_has_room_again() -> None:
    queue = BoundedQueue[bytes](max_items=1, max_bytes=3, size_of=len)
    assert queue.put(b"one")
    assert not queue.put(b"")
    queue.clear()
    assert queue.put(b"two")


@given(st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=40)), max_size=60))
def test_a_map_keeps_its_newest_values_within_its_limits(items: list[tuple[int, bytes]]) -> None:
    store = BoundedMap[int, bytes](max_items=4, max_bytes=30, size_of=len)
    for key, value in items:
        assert store.put(key, value) == (len(value) <= 30)
        assert (store.get(key) == value) == (len(value) <= 30)
        assert len(store) == len(store.values()) == store.budget.items <= 4
        assert store.budget.bytes == sum(map(len, store.values())) <= 30


def test_a_map_drops_its_oldest_value_and_counts_it() -> None:
    store = BoundedMap[str, bytes](max_items=2, max_bytes=100, size_of=len)
    for key in "abac":  # "a" is put again, so "b" is the oldest
        store.put(key, key.encode())
    assert list(store) == ["a", "c"]
    assert store.dropped == 1


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 200)), max_size=200),
    st.floats(1, 50),
    st.floats(1, 1000),
    st.floats(1, 5),
)
def test_a_rate_limit_lets_through_no_more_than_its_rates_allow(
    arrivals: list[tuple[float, int]], items_per_s: float, bytes_per_s: float, burst_s: float
) -> None:
    """The law: in any stretch of time no more items and bytes pass than the rate allows for it and one burst."""
    limit = RateLimit(items_per_s=items_per_s, bytes_per_s=bytes_per_s, burst_s=burst_s)
    now, passed = 5.0, list[tuple[float, int]]()
    for pause, size in arrivals:
        now += pause
        if limit.take(size, now):
            passed.append((now, size))
    for first in range(0, len(passed), 7):
        stretch_s = burst_s - passed[first][0]
        for last in range(first, len(passed)):
            allowed_s = (passed[last][0] + stretch_s) * 1.0001
            assert last - first + 1 <= items_per_s * allowed_s
            assert sum(size for _, size in passed[first : last + 1]) <= bytes_per_s * allowed_s


def test_a_rate_limit_always_passes_what_arrives_at_its_rate() -> None:
    limit = RateLimit(items_per_s=10, bytes_per_s=100, burst_s=1)
    assert all(limit.take(10, 50) for _ in range(10))
    assert not limit.take(0, 50)
    assert all(limit.take(10, 50 + number / 9.9) for number in range(1, 1000))
