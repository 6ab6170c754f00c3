"""The fork of the media path, and the containers that frames wait in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.mailbox import Every, Latest, OverflowedError, Recent
from streamer.media.access_unit import AccessUnit
from streamer.media.fanout import Fanout
from tests.support.senders import access_unit

UNIT = access_unit(b"\x00\x00\x00\x01\x65", 0)


class Sink:
    """Writes down who got what, and may change the fan-out meanwhile."""

    def __init__(self, name: str, log: list[str], fanout: Fanout | None = None, other: "Sink | None" = None) -> None:
        self.name, self.log, self.fanout, self.other = name, log, fanout, other

    def put(self, unit: AccessUnit) -> None:
        self.log.append(self.name)
        if self.fanout is not None:
            self.fanout.remove(self)
            self.fanout.add(self.other or self)


def test_every_sink_gets_every_unit_in_the_order_in_which_they_were_added() -> None:
    log: list[str] = []
    fanout = Fanout()
    one, two = Sink("one", log), Sink("two", log)
    fanout.put(UNIT)
    fanout.add(one)
    fanout.add(two)
    fanout.put(UNIT)
    fanout.remove(one)
    fanout.remove(one)
    fanout.put(UNIT)
    assert log == ["one", "two", "two"]


def test_sinks_may_come_and_go_while_a_unit_is_handed_out() -> None:
    log: list[str] = []
    fanout = Fanout()
    fanout.add(Sink("leaves", log, fanout, other=Sink("comes", log)))
    fanout.add(Sink("stays", log))
    fanout.put(UNIT)
    fanout.put(UNIT)
    assert log == ["leaves", "stays", "stays", "comes"]


operations = st.lists(st.sampled_from(["put", "take"]), max_size=60)


@given(operations)
def test_latest_gives_the_newest_item_once_and_counts_the_others(order: list[str]) -> None:
    """The law: for any puts and takes, what is taken rises, is the newest put, and puts = taken + dropped + held."""
    box: Latest[int] = Latest()
    newest, held, taken = 0, False, 0
    for operation in order:
        if operation == "put":
            newest, held = newest + 1, True
            box.put(newest)
        else:
            assert box.take() == (newest if held else None)
            taken, held = taken + held, False
    assert newest == taken + box.dropped + held


@given(operations, st.integers(1, 5), st.integers(0, 5))
def test_every_gives_all_items_in_order_until_it_overflows_and_then_raises(
    order: list[str], limit: int, forget_after: int
) -> None:
    """The law: for any puts and takes, items leave in order without a gap; after an overflow exactly those that were
    kept, then an error each time; never more than `limit` are held, and none once so many more came unread."""
    box: Every[int] = Every(limit, forget_after=forget_after)
    held: list[int] = []
    count, dropped, unread = 0, 0, 0
    for operation in order:
        if operation == "put":
            count += 1
            unread += 1
            box.put(count)
            if dropped or len(held) == limit:
                dropped += 1
            else:
                held.append(count)
            if dropped and unread > limit + forget_after:
                dropped += len(held)
                held.clear()
        elif held or not dropped:
            unread = 0
            assert box.take() == (held.pop(0) if held else None)
        else:
            unread = 0
            with pytest.raises(OverflowedError):
                box.take()
        assert box.dropped == dropped
        assert box.is_idle == (dropped > 0)


@given(operations, st.integers(1, 5), st.booleans())
def test_a_consumer_is_idle_after_so_many_puts_without_a_take(order: list[str], limit: int, is_recent: bool) -> None:
    """The law: it is idle exactly from the put on that makes so many since the last take."""
    box: Recent[int] | Latest[int] = Recent(1, idle_after=limit) if is_recent else Latest(idle_after=limit)
    unread = 0
    for operation in order:
        if operation == "put":
            box.put(0)
            unread += 1
        else:
            box.take()
            unread = 0
        assert box.is_idle == (unread >= limit)


@given(operations, st.integers(1, 5))
def test_recent_gives_the_newest_items_in_order_and_counts_the_others(order: list[str], limit: int) -> None:
    """The law: for any puts and takes, what leaves is in order, and what does not leave or wait was dropped, oldest
    first; never more than `limit` are held."""
    box: Recent[int] = Recent(limit)
    held: list[int] = []
    count, dropped = 0, 0
    for operation in order:
        if operation == "put":
            count += 1
            box.put(count)
            dropped += len(held) == limit
            held = [*held, count][-limit:]
        else:
            assert box.take() == (held.pop(0) if held else None)
        assert box.dropped == dropped
