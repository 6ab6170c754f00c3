"""What happens to a session, told to whoever listens."""

import asyncio

import streamer
from streamer.events import EVENTS_LIMIT, EventHub, Interruptions


async def test_every_listener_hears_everything_from_the_present_state_on() -> None:
    hub = EventHub()
    early = hub.iterate()
    hub.tell("connecting")
    hub.tell("problem", "stun:nobody: no answer")
    late = hub.iterate()
    hub.tell("closed")
    hub.tell("resumed")  # nothing happens after the end
    assert [event.kind async for event in early] == ["connecting", "problem", "closed"]
    assert [event.kind async for event in late] == ["connecting", "closed"]
    assert [event.kind async for event in hub.iterate()] == ["closed"]


async def test_an_event_wakes_who_waits_for_it_and_carries_the_error() -> None:
    hub = EventHub()
    waiting = asyncio.ensure_future(anext(hub.iterate()))
    await asyncio.sleep(0)
    error = streamer.ConnectionLostError("gone")
    hub.tell("interrupted", error=error, retry_in_s=3)
    event = await waiting
    assert (event.reason, event.error, event.retry_in_s) == ("gone", error, 3)


async def test_a_listener_that_falls_behind_misses_the_oldest_and_can_see_how_many() -> None:
    hub = EventHub()
    listener = hub.iterate()
    for number in range(EVENTS_LIMIT + 5):
        hub.tell("problem", str(number))
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
        meter.take(kind, now)  # type: ignore[arg-type]
    meter.take("renewed", 30)
    assert (meter.count, meter.total_s(40)) == (1, 9.5)
    meter.take("interrupted", 50)
    assert (meter.count, meter.total_s(51)) == (2, 10.5)
    meter.take("closed", 52)
    assert (meter.count, meter.total_s(99)) == (2, 11.5)
