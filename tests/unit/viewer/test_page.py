"""One page: what it is sent, and what comes of each message that it may send."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from websockets.asyncio.server import ServerConnection

from streamer.viewer.page import STATS, Page
from tests.support.access_units import units
from tests.support.unconnected_phone import UnconnectedPhone, Wire, places
from tests.support.waiting import until

READ_ONLY = "this viewer only shows the phone: it was started read-only"


class Opened:
    """An open page, its phone, and what both were given."""

    def __init__(self, *, read_only: bool = False) -> None:
        self.phone = UnconnectedPhone()
        self.wire = Wire()
        connection = cast("ServerConnection", self.wire)
        self.page = Page(connection, self.phone.session, read_only=read_only, phones=["phone-1", "phone-2"])

    def say(self, **message: Any) -> None:
        self.wire.say(json.dumps(message))

    def heard(self, what: str) -> list[dict[str, Any]]:
        texts = [json.loads(message) for message in self.wire.sent if isinstance(message, str)]
        return [message for message in texts if message["say"] == what]

    async def hears(self, what: str, count: int = 1) -> dict[str, Any]:
        await until(lambda: len(self.heard(what)) >= count)
        return self.heard(what)[-1]

    @property
    def media(self) -> list[bytes]:
        return [message for message in self.wire.sent if isinstance(message, bytes)]


@contextlib.asynccontextmanager
async def opened(*, read_only: bool = False) -> AsyncIterator[Opened]:
    page = Opened(read_only=read_only)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(page.page.run())
        yield page
        page.wire.close()
        await running


async def test_a_page_is_told_what_it_shows_and_what_happens() -> None:
    async with opened() as page:
        hello = await page.hears("hello")
        assert hello == {
            "say": "hello",
            "phone": "phone-1",
            "phones": ["phone-1", "phone-2"],
            "readOnly": False,
            "saveSeconds": 30.0,
        }
        assert (await page.hears("stats")).keys() == {"say", *STATS}
        assert (await page.hears("event"))["kind"] == "streaming"
        page.phone.hub.emit("interrupted", "the path is silent", retry_in_s=1.5)
        event = await page.hears("event", 2)
        assert (event["kind"], event["reason"], event["retryInS"]) == ("interrupted", "the path is silent", 1.5)


async def test_a_page_gets_frames_while_it_can_be_seen_and_again_from_the_keyframe() -> None:
    first, second, *_ = units()
    async with opened() as page:
        page.phone.put(first)
        await page.hears("stats")
        assert page.media == []
        page.say(do="show", visible=True)
        await until(lambda: len(page.media) == 1)
        page.say(do="show", visible=False)
        page.say(do="refresh")
        await until(lambda: page.phone.keyframe_requests)
        page.phone.put(second)
        page.say(do="show", visible=True)
        await until(lambda: len(page.media) == 3)
        assert [message[16:] for message in page.media] == [first.data, first.data, second.data]
        assert len(page.heard("format")) == 2


async def test_the_end_of_the_session_does_not_close_the_page() -> None:
    async with opened() as page:
        page.say(do="show", visible=True)
        await page.hears("event")
        page.phone.hub.emit("closed")
        assert (await page.hears("event", 2))["kind"] == "closed"
        page.say(do="explode")
        await page.hears("error")


async def test_hands_reach_the_phone_by_shares_of_the_screen_whichever_way_it_is_turned() -> None:
    async with opened() as page:
        page.say(do="touch", finger=3, motion="down", x=0.25, y=1)
        page.say(do="touch", finger=3, motion="up", x=0.25, y=1)
        page.say(do="press", key="A", modifiers=["SHIFT"])
        page.say(do="type", text="b")
        await until(lambda: len(page.phone.touches) == 3 and len(page.phone.keys) == 3)
        assert places(page.phone.touches) == [(0, 0.25, 1.0), (2, 0.25, 1.0), (1, 0.25, 1.0)]
        assert page.phone.keys == [(59, 1), (29, 1), (30, 0)]


async def test_what_is_recorded_and_saved_has_a_name_of_the_phone_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened() as page:
        page.say(do="record", on=False)  # there is none: nothing happens
        page.say(do="record", on=True)
        assert (await page.hears("recording"))["on"] is True
        page.say(do="record", on=True)  # it is on: nothing happens
        page.say(do="record", on=False)
        recorded = await page.hears("recording", 2)
        page.say(do="save", seconds=5)
        saved = await page.hears("saved")
        assert page.heard("error") == []
    paths = [Path(recorded["path"]), Path(saved["path"])]
    assert [path.parent for path in paths] == [tmp_path, tmp_path]
    assert all(path.name.startswith("phone-1-") and path.stat().st_size for path in paths)
    assert len(page.phone.recordings) == 2


async def test_a_page_that_is_closed_ends_its_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened() as page:
        page.say(do="record", on=True)
        await page.hears("recording")
    assert page.phone.recordings[0].is_closed


@pytest.mark.parametrize(
    ("say", "sentence"),
    [
        (lambda page: page.say(do="explode"), 'expected "do" to be one of touch, press, type, show'),
        (lambda page: page.wire.say("{"), "expected a JSON object, got text that is no JSON"),
        (lambda page: page.wire.say(b"\0"), "expected text with a JSON object, got a binary message"),
        (lambda page: page.say(do="touch", finger=0, motion="down", x=1.5, y=0), "touch: expected x and y from 0 to 1"),
        (lambda page: page.say(do="press", key="NO_KEY"), "expected an Android key code or one of"),
        (lambda page: page.say(do="press", key=""), "press: expected text of 1 to 40 characters"),
        (lambda page: page.say(do="press", key="A", modifiers=7), "press: expected other facts"),
        (lambda page: page.say(do="type", text="é"), "keys can type printable ASCII"),
        (lambda page: page.say(do="show", visible=True, form="film"), "show: expected the form units, mp4 or jpeg"),
        (lambda page: page.say(do="save", seconds=0), "save: expected seconds above 0"),
        (lambda page: page.say(do="refresh", now=True), "refresh: expected other facts"),
    ],
)
async def test_what_is_wrong_is_refused_with_a_sentence_and_the_page_goes_on(
    say: Callable[[Opened], None], sentence: str
) -> None:
    async with opened() as page:
        say(page)
        assert str((await page.hears("error"))["text"]).startswith(sentence)
        page.say(do="press", key="HOME")
        await until(lambda: page.phone.keys == [(3, 0)])


async def test_a_page_that_only_shows_cannot_act_or_record() -> None:
    acts: list[dict[str, Any]] = [
        {"do": "touch", "finger": 0, "motion": "down", "x": 0, "y": 0},
        {"do": "press", "key": "HOME"},
        {"do": "type", "text": "a"},
        {"do": "record", "on": True},
        {"do": "record", "on": False},
        {"do": "save", "seconds": 1},
    ]
    async with opened(read_only=True) as page:
        assert (await page.hears("hello"))["readOnly"] is True
        for act in acts:
            page.say(**act)
        page.say(do="refresh")
        page.phone.put(units()[0])
        page.say(do="show", visible=True)
        await until(lambda: page.media and page.phone.keyframe_requests)
        assert [error["text"] for error in page.heard("error")] == [READ_ONLY] * len(acts)
        assert (page.phone.first_link.inputs, page.phone.recordings) == ([], [])
