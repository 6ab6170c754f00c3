"""The events of a session, and its listeners."""

import asyncio

import streamer
from streamer.events import EVENTS_LIMIT, INTERRUPTIONS_LIMIT, EventHub, Interruption, Interruptions


async def test_every_listener_hears_everything_from_the_present_state_on() -> None:
    hub = EventHub()
    early = hub.iterate()
    hub.emit("connecting")
    hub.emit("problem", "stun:nobody: no answer")
    late = hub.iterate()
    hub.emit("closed")
    hub.emit("resumed")  # nothing happens after the end
    assert [event.kind async for event in early] == ["connecting", "problem", "closed"]
    assert [event.kind async for event in late] == ["connecting", "closed"]
    assert [event.kind async for event in hub.iterate()] == ["closed"]


async def test_an_event_wakes_its_waiters_and_carries_the_error() -> None:
    hub = EventHub()
    waiting = asyncio.ensure_future(anext(hub.iterate()))
    await asyncio.sleep(0)
    error = streamer.ConnectionLostError("gone")
    hub.emit("interrupted", error=error, retry_in_s=3)
    event = await waiting
    assert (event.reason, event.error, event.retry_in_s) == ("gone", error, 3)


async def test_a_slow_listener_misses_the_oldest_events_and_sees_how_many() -> None:
    hub = EventHub()
    listener = hub.iterate()
    for number in range(EVENTS_LIMIT + 5):
        hub.emit("problem", str(number))
    assert (await anext(listener)).reason == "5"
    assert listener.dropped == 5


def test_an_interruption_lasts_from_its_first_event_until_the_stream_is_resumed() -> None:
    meter = Interruptions()
    for now, kind in (
        (1, "streaming"),
        (10, "interrupted"),
        (12, "connecting"),
        (15, "interrupted"),
        (19.5, "resumed"),
    ):
        meter.take(kind, f"reason {now}", now)  # type: ignore[arg-type]
    meter.take("renewed", None, 30)
    assert (meter.count, meter.total_s(40)) == (1, 9.5)
    meter.take("interrupted", "nothing comes", 50)
    assert (meter.count, meter.total_s(51)) == (2, 10.5)
    assert meter.reasons == ("reason 10", "nothing comes")
    assert meter.between(0, 60) == [
        Interruption(since=10, until=19.5, reason="reason 10"),
        Interruption(since=50, until=60, reason="nothing comes"),
    ]
    assert meter.between(12, 13) == [Interruption(since=12, until=13, reason="reason 10")]
    assert meter.between(19.5, 50) == []
    meter.take("closed", None, 52)
    assert (meter.count, meter.total_s(99)) == (2, 11.5)
    assert [each.until for each in meter.between(0, 60)] == [19.5, 52]


def test_remembered_reasons_have_a_limit_and_the_count_has_none() -> None:
    meter = Interruptions()
    for number in range(INTERRUPTIONS_LIMIT + 5):
        meter.take("interrupted", str(number), 2 * number)
        meter.take("resumed", None, 2 * number + 1)
    assert (meter.count, meter.total_s(999)) == (INTERRUPTIONS_LIMIT + 5, INTERRUPTIONS_LIMIT + 5)
    assert meter.reasons == tuple(str(number) for number in range(5, INTERRUPTIONS_LIMIT + 5))
