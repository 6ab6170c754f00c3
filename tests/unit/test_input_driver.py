"""Sending actions over links that come and go."""

import asyncio
import struct
import time
from dataclasses import dataclass, field
from typing import cast

import pytest

from streamer import input_driver
from streamer.actions import Action
from streamer.control import gestures, keys
from streamer.control.frames import encode_message
from streamer.control.gestures import Step
from streamer.errors import ActionLostError, ConfigurationError, ConnectionLostError, InputNotReadyError
from streamer.input_driver import ACTIONS_LIMIT, MESSAGES_LIMIT, InputDriver
from streamer.own_loop import OwnLoop
from streamer.timeline import records
from streamer.timeline.journal import Act, Journal
from streamer.timeline.records import Record
from streamer.watcher import Watcher

LIMIT_S = 60.0


@dataclass
class Receipt:
    is_acknowledged: bool


@dataclass
class Link:
    """Keeps what it is given; from the end of `room` on it takes no more."""

    frames: list[bytes] = field(default_factory=list)
    fillers: list[bytes] = field(default_factory=list)
    sent: asyncio.Event = field(default_factory=asyncio.Event)
    room: int = 1000
    acknowledges: bool = False
    awaits_acknowledgement: bool = False

    def send_input(self, data: bytes, *, reliable: bool) -> Receipt | None:
        if len(self.frames) >= self.room:
            return None
        assert reliable is (self.is_key(data) or data[10] != 2)
        self.frames.append(data)
        self.sent.set()
        return Receipt(self.acknowledges)

    def send_filler(self, data: bytes) -> None:
        self.fillers.append(data)

    @staticmethod
    def is_key(data: bytes) -> bool:
        return data[4] == 207

    @property
    def touches(self) -> list[tuple[int, int]]:
        """The action and the finger of each touch that is no MOVE."""
        found = [struct.unpack_from("!HBI", data, 9) for data in self.frames if not self.is_key(data)]
        return [(action, finger) for action, _, finger in found if action != 2]


class Links:
    """A driver, and the link that is in force."""

    def __init__(self) -> None:
        self.link: Link | None = Link()
        self.journal = Journal(lambda: 90_000)
        loop = OwnLoop()
        loop.check()
        self.driver = InputDriver(lambda: self.link, self.journal, loop=loop, keep_awake=False)
        self.driver.look()

    def replace(self, link: Link | None) -> None:
        self.link = link
        self.driver.look()

    def perform(self, steps: list[Step], timeout_s: float = LIMIT_S, draft: Act | None = None) -> Action:
        async def plan() -> list[Step]:
            return steps

        return Action(
            "test",
            lambda on_sent: self.driver.perform(plan, timeout_s=timeout_s, on_sent=on_sent, draft=draft),
            watcher=cast("Watcher", None),  # nobody asks what came of it
        )


TAP = gestures.tap(0.5, 0.5)
HOLD = gestures.long_press(0.5, 0.5, 60.0)


async def test_actions_go_one_after_another_in_the_order_in_which_they_are_awaited() -> None:
    links = Links()
    link = links.link
    assert link is not None
    await asyncio.gather(*(links.perform(gestures.tap(0.1 * number, 0.5)) for number in range(5)))
    places = [round(struct.unpack_from("!f", data, 16)[0], 3) for data in link.frames]
    assert places == sorted(places)
    assert link.touches == [(0, 0), (1, 0)] * 5
    assert len(link.fillers) == 15


async def test_an_action_is_sent_once_however_often_it_is_awaited() -> None:
    links = Links()
    link = links.link
    assert link is not None
    action = links.perform(TAP)
    assert action.sent_ns is None
    first, second = await asyncio.gather(action, action)
    assert first is second is action is await action
    assert link.touches == [(0, 0), (1, 0)]


def test_an_action_that_is_never_awaited_is_warned_of() -> None:
    async def forget() -> None:
        Links().perform(TAP)

    with pytest.warns(RuntimeWarning, match=r"coroutine 'Session\.test' was never awaited"):
        asyncio.run(forget())


async def test_without_a_link_an_action_waits_and_then_is_refused() -> None:
    links = Links()
    links.replace(None)
    with pytest.raises(InputNotReadyError, match=r"took no input within 0\.01 s"):
        await links.perform(TAP, timeout_s=0.01)
    task = asyncio.ensure_future(links.perform(TAP)._perform())
    await asyncio.sleep(0)
    links.replace(Link())
    await task
    assert links.link is not None
    assert links.link.touches == [(0, 0), (1, 0)]


@pytest.mark.parametrize("acknowledges", [True, False])
async def test_a_link_lost_in_mid_gesture_ends_it_and_the_next_link_first_lifts_the_finger(acknowledges: bool) -> None:
    links = Links()
    former, latter = links.link, Link()
    assert former is not None
    former.acknowledges = acknowledges
    task = asyncio.ensure_future(links.perform(HOLD)._perform())
    await former.sent.wait()
    links.replace(None)
    with pytest.raises(ActionLostError, match="during the action") as caught:
        await task
    assert caught.value.was_sent is (True if acknowledges else None)
    assert not caught.value.retryable
    assert former.touches == [(0, 0)]
    links.replace(latter)
    await links.perform(TAP)
    assert latter.touches == [(1, 0), (0, 0), (1, 0)]


async def test_a_link_that_another_replaces_at_once_gets_no_more_of_the_gesture() -> None:
    links = Links()
    former, latter = links.link, Link()
    assert former is not None
    task = asyncio.ensure_future(links.perform(HOLD)._perform())
    await former.sent.wait()
    links.replace(latter)
    with pytest.raises(ActionLostError):
        await task
    assert (former.touches, latter.touches) == ([(0, 0)], [(1, 0)])


async def test_cancelling_lifts_the_finger_at_once_and_lets_the_next_action_go() -> None:
    links = Links()
    link = links.link
    assert link is not None
    task = asyncio.ensure_future(links.perform(HOLD)._perform())
    await link.sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await links.perform(TAP)
    assert link.touches == [(0, 0), (1, 0), (0, 0), (1, 0)]


async def test_a_link_without_room_ends_an_action_before_anything_was_sent() -> None:
    links = Links()
    link = links.link
    assert link is not None
    link.room = 0
    with pytest.raises(ActionLostError, match="takes no more input: nothing of the action was sent") as caught:
        await links.perform(TAP)
    assert caught.value.was_sent is False
    assert caught.value.retryable


async def test_a_link_without_room_for_the_up_still_owes_it() -> None:
    links = Links()
    link = links.link
    assert link is not None
    link.room = 2
    with pytest.raises(ActionLostError) as caught:
        await links.perform(TAP)
    assert caught.value.was_sent is None
    links.replace(Link())
    assert links.link is not None
    assert links.link.touches == [(1, 0)]


async def test_held_fingers_have_numbers_of_their_own() -> None:
    links = Links()
    link = links.link
    assert link is not None
    async with links.driver.hand(1, timeout_s=LIMIT_S) as hand:
        hand.send(TAP[0].frame, TAP[0].delivery)
        await links.perform(TAP)
    assert link.touches == [(0, 0), (0, 1), (1, 1), (1, 0)]


async def test_an_action_beyond_the_limit_of_waiting_ones_is_refused() -> None:
    links = Links()
    links.replace(None)
    tasks = [asyncio.ensure_future(links.perform(TAP)._perform()) for _ in range(ACTIONS_LIMIT + 1)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(ConfigurationError, match="expected at most 100 actions that wait for their turn"):
        await links.perform(TAP)
    links.driver.close(None)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, ConnectionLostError) for result in results)


async def test_closing_lifts_what_is_down_and_ends_what_waits() -> None:
    links = Links()
    link = links.link
    assert link is not None
    task = asyncio.ensure_future(links.perform(HOLD)._perform())
    await link.sent.wait()
    links.driver.close(ConnectionLostError("gone"))
    with pytest.raises(ActionLostError):
        await task
    assert link.touches == [(0, 0), (1, 0)]
    with pytest.raises(ConnectionLostError, match="gone"):
        await links.perform(TAP)
    with pytest.raises(ConnectionLostError, match="gone"):
        await anext(links.driver.iterate_messages())


async def test_leaving_lifts_what_is_down_and_waits_until_that_is_acknowledged() -> None:
    links = Links()
    link = links.link
    assert link is not None
    link.awaits_acknowledgement = True
    task = asyncio.ensure_future(links.perform(HOLD)._perform())
    await link.sent.wait()
    leaving = asyncio.ensure_future(links.driver.aclose())
    with pytest.raises(ActionLostError):
        await task
    assert link.touches == [(0, 0), (1, 0)]
    assert not leaving.done()
    link.awaits_acknowledgement = False
    await leaving


async def test_leaving_waits_for_no_acknowledgement_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    links = Links()
    assert links.link is not None
    links.link.awaits_acknowledgement = True
    monkeypatch.setattr(input_driver, "DRAIN_LIMIT_S", 0.05)
    await links.driver.aclose()


async def test_keys_reach_the_link_in_order() -> None:
    links = Links()
    link = links.link
    assert link is not None
    await links.perform(gestures.keys(keys.keys_of("ab")))
    assert [struct.unpack_from("!HH", data, 9) for data in link.frames] == [(0, 29), (1, 29), (0, 30), (1, 30)]


async def test_messages_come_to_each_consumer_and_the_oldest_are_dropped() -> None:
    links = Links()
    first, second = links.driver.iterate_messages(), links.driver.iterate_messages()
    for number in range(MESSAGES_LIMIT + 2):
        links.driver.receive(encode_message({"type": "app_message", "data": number}))
    assert await anext(first) == await anext(second) == {"type": "app_message", "data": 2}
    assert first.dropped == 2
    links.driver.close(None)
    assert [message["data"] async for message in first] == list(range(3, MESSAGES_LIMIT + 2))


async def test_an_action_is_told_with_its_times_its_paths_and_what_went_wrong() -> None:
    links, told = Links(), list[Record]()
    swipe = gestures.swipe((0.5, 0.8), (0.5, 0.2), 0.03, 0.0)
    await links.perform(swipe, draft=records.Touch(verb="swipe"))
    with links.journal.heard_by(told.append):
        before = time.time()
        await links.perform(swipe, draft=records.Touch(verb="swipe"))
        await links.perform(gestures.keys(keys.press("BACK")), draft=records.Key(name="BACK"))
        links.replace(None)
        with pytest.raises(InputNotReadyError):
            await links.perform(TAP, timeout_s=0.01, draft=records.Touch(verb="tap"))
        links.driver.receive(encode_message({"type": "app_message"}))
    touch, key, unsent, message = told
    assert isinstance(touch, records.Touch)
    ((first, *_, last),) = touch.paths
    assert (first, last) == ((0.5, 0.8, 0.0), (0.5, 0.2, round(touch.duration_s, 3)))
    assert before - 0.01 <= touch.at <= time.time()
    assert isinstance(key, records.Key)
    assert (key.name, key.rtp_time, key.error) == ("BACK", 90_000, None)
    assert isinstance(unsent, records.Touch)
    assert unsent.paths == ()
    assert "took no input within 0.01 s" in (unsent.error or "")
    assert message == records.Message(at=message.at, rtp_time=90_000, by_phone=True, kind="app_message")
