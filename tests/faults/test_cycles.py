"""A program that connects and leaves many times holds no more at the end than after the first few times."""

from tests.faults.cycles import cycle

GROWTH_LIMIT_KB = 8 * 1024  # over 30 cycles; a leaked session is more than that in a few


def test_nothing_grows_over_forty_cycles() -> None:
    first, *_, last = cycle(40)
    assert last.tasks == first.tasks == 1
    assert last.usage.threads <= first.usage.threads
    assert last.usage.files <= first.usage.files
    assert last.usage.rss_kb - first.usage.rss_kb < GROWTH_LIMIT_KB
