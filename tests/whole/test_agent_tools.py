"""The tools of an agent on a session with the emulator."""

import asyncio
import contextlib
import io
import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import av
import pytest

from streamer import emulator
from streamer.agent import tools as agent_tools
from streamer.agent.files import Files
from streamer.agent.link import PhoneLink
from streamer.agent.tools import Answer, Tools
from streamer.emulator import EmulatedPhone, Faults, Touch
from tests.support.everywhere import Connect

pytestmark = pytest.mark.edge
LIMIT_S = 60.0
SIGN_IN = "com.example.signin"
SECRET = "correct horse battery"


@pytest.fixture(autouse=True)
def _a_busy_machine_has_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHANGE_S", "START_CHANGE_S", "SETTLE_S"):
        monkeypatch.setattr(agent_tools, name, LIMIT_S)


class Agent:
    """Tools of an emulator with small apps."""

    def __init__(self, phone: EmulatedPhone, link: PhoneLink, folder: Path) -> None:
        self.phone = phone
        self.link = link
        self.tools = Tools(link.session, Files(folder))

    async def call(self, name: str, **given: Any) -> Answer:
        async with asyncio.timeout(LIMIT_S):
            return await self.tools.call(name, given)

    async def facts(self, name: str, **given: Any) -> dict[str, Any]:
        """Return the facts of an answer that is no error."""
        answer = await self.call(name, **given)
        assert not answer.is_error, answer.text
        facts: dict[str, Any] = json.loads(answer.text)
        return facts


@contextlib.asynccontextmanager
async def using(
    connect: Connect, folder: Path, *, scale: int = 1, screen: Literal["showcase", "apps"] = "apps"
) -> AsyncIterator[Agent]:
    async with emulator.serve(
        width=180 * scale, height=320 * scale, fps=20, audio=False, screen=screen, faults=Faults()
    ) as phone:
        link = PhoneLink(lambda: connect(phone, preroll_s=30, calls_per_minute=1000))
        try:
            yield Agent(phone, link, folder)
        finally:
            await link.aclose()


@pytest.fixture
async def agent(connect: Connect, tmp_path: Path) -> AsyncIterator[Agent]:
    async with using(connect, tmp_path / "files") as using_it:
        yield using_it


def size_of(picture: bytes | None) -> tuple[int, int]:
    assert picture is not None
    with av.open(io.BytesIO(picture)) as container:
        return container.streams.video[0].width, container.streams.video[0].height


async def test_looking_at_a_still_screen_decodes_and_encodes_nothing(agent: Agent) -> None:
    assert agent.link.has_ended, "nothing is connected before the first tool"
    first = await agent.call("wait_for", what="still", timeout_s=LIMIT_S)
    decoded = (await agent.link.session()).stats().frames_decoded
    for _ in range(3):
        again = await agent.call("look")
        assert again.picture is first.picture
    assert (await agent.link.session()).stats().frames_decoded == decoded
    assert size_of(first.picture) == (180, 320)
    assert size_of((await agent.call("look", region=[0.0, 0.5, 0.5, 0.25])).picture) == (90, 80)


async def test_an_action_answers_once_the_screen_has_settled_and_says_what_changed(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = await agent.facts("start_app", package=SIGN_IN)
    assert facts["changed"]
    assert 0 < facts["first_change_s"] <= facts["settled_s"]
    assert agent.phone.app_in_front == SIGN_IN
    facts = await agent.facts("tap", x=0.5, y=0.2)
    left, top, width, height = facts["region"]
    assert 0 <= left < left + width <= 1
    assert 0.1 <= top < top + height <= 1
    monkeypatch.setattr(agent_tools, "CHANGE_S", 0.5)
    await agent.facts("press", key="BACK")
    facts = await agent.facts("tap", x=0.5, y=0.8)
    assert (facts["changed"], facts["waited_s"]) == (False, 0.5)
    assert [touch.action for touch in agent.phone.inputs if isinstance(touch, Touch) and touch.action != 2][-2:] == [
        0,
        1,
    ]


async def test_a_screen_that_never_rests_is_said_to_move(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_tools, "SETTLE_S", 1.0)
    async with using(connect, tmp_path, screen="showcase") as agent:
        facts = await agent.facts("tap", x=0.5, y=0.5)
        assert (facts["changed"], facts["still"]) == (True, False)
        assert facts["moving"]
        assert facts["note"].startswith("the screen has not come to rest")
        facts = await agent.facts("wait_for", what="still", timeout_s=0.5)
        assert (facts["came"], facts["still"]) == (False, False)
        assert all(0 <= edge <= 1 for region in facts["moving"] for edge in region)


async def test_waiting_for_a_change_looks_from_the_last_picture_on(agent: Agent) -> None:
    await agent.facts("wait_for", what="still", timeout_s=LIMIT_S)
    session = await agent.link.session()
    await session.apps.start(SIGN_IN)
    await session.wait_for_color(0.3, 0.46, "#1967d2", timeout_s=LIMIT_S)
    await session.wait_until_still(timeout_s=LIMIT_S)  # it has changed before anybody waits for it
    assert (await agent.facts("wait_for", what="change", timeout_s=LIMIT_S))["came"]
    facts = await agent.facts("wait_for", what="change", timeout_s=0.3)
    assert facts == {"came": False, "waited_s": 0.3, "note": "the screen has not changed"}


async def test_texts_come_with_their_places_and_can_be_waited_for(connect: Connect, tmp_path: Path) -> None:
    async with using(connect, tmp_path, scale=2) as agent:
        agent.tools = Tools(agent.link.session, Files(), reads_texts=True)
        await agent.facts("start_app", package=SIGN_IN)
        assert (await agent.facts("wait_for", what="text", text="password", timeout_s=LIMIT_S))["came"]
        first, again = await agent.facts("look"), await agent.facts("look")
        assert first["texts"] == again["texts"]
        texts = {text: (x, y) for text, x, y in first["texts"]}
        x, y = texts["Password"]
        assert (await agent.facts("tap", x=x, y=y))["changed"]
        await agent.facts("type", text="open sesame\n")
        facts = await agent.facts("wait_for", what="text", text="at least an e-mail address", timeout_s=0.2)
        assert not facts["came"]
        assert facts["note"].startswith('the text is not on the screen; nearest: "Enter an e-mail address')
        (nearest,) = re.findall(r" at \[([0-9.]+), ([0-9.]+)\]$", facts["note"])
        assert all(0 < float(fraction) < 1 for fraction in nearest)
        assert (await agent.facts("press", key="HOME"))["changed"]
        assert (await agent.facts("wait_for", what="text_gone", text="Password", timeout_s=LIMIT_S))["came"]
        assert "E-mail" not in [text for text, *_ in (await agent.facts("look"))["texts"]]
        answer = await agent.call("wait_for", what="text")
        assert (answer.is_error, answer.text) == (True, "wait_for did nothing: expected a text to wait for, got none.")


async def test_what_may_or_may_not_have_happened_is_said_to_be_unclear_and_never_repeated(agent: Agent) -> None:
    await agent.facts("look")
    agent.phone.faults.call_reply_lost = True
    answer = await agent.call("start_app", package=SIGN_IN)
    assert answer.is_error
    assert answer.text.startswith("it is not known whether the phone has done this. Look at the screen before")
    assert size_of(answer.picture) == (180, 320)
    assert len([command for command in agent.phone.device.commands if SIGN_IN in command]) == 1
    agent.phone.faults.call_reply_lost = False
    agent.phone.inputs.clear()
    pressing = asyncio.create_task(agent.call("long_press", x=0.5, y=0.5, duration_s=10.0))
    async with asyncio.timeout(LIMIT_S):
        while not any(isinstance(each, Touch) for each in agent.phone.inputs):
            await asyncio.sleep(0.01)
        await agent.phone.restart()
        answer = await pressing
    assert answer.is_error
    assert answer.text.startswith("it is not known whether the phone has done this")
    assert size_of(answer.picture) == (180, 320), "the picture is of the next connection"


async def test_a_session_that_has_ended_is_said_once_and_the_next_call_connects(agent: Agent, connect: Connect) -> None:
    await agent.facts("look")
    async with asyncio.timeout(LIMIT_S), connect(agent.phone):
        while not agent.link.has_ended:
            await asyncio.sleep(0.01)
        answer = await agent.call("tap", x=0.5, y=0.5)
        assert answer.is_error
        assert answer.text.startswith("nothing was sent: ")
        assert "1402" in answer.text
        assert answer.text.endswith("another call connects again.")
    assert "age_s" in await agent.facts("look")


async def test_files_are_written_into_the_directory_alone(agent: Agent, tmp_path: Path) -> None:
    answer = await agent.call("record", action="stop")
    assert (answer.is_error, answer.text) == (True, "nothing is being recorded: start a recording first.")
    begun = await agent.facts("record", action="start")
    answer = await agent.call("record", action="start")
    assert (answer.is_error, answer.text) == (True, f"{begun['recording']} is being recorded already: stop that first.")
    await agent.facts("start_app", package=SIGN_IN)
    clip = await agent.call("clip", seconds=5)
    facts = json.loads(clip.text)
    assert size_of(clip.picture)[1] == 320
    assert len(facts["strip_before_end_s"]) >= 2
    ended = await agent.facts("record", action="stop")
    assert ended["file"] == begun["recording"]
    for each in (facts, ended):
        path = Path(each["file"])
        assert path.parent == tmp_path / "files"
        assert path.stat().st_size == each["size_bytes"]
        with av.open(path) as container:
            assert sum(1 for _ in container.decode(video=0)) > 1
    assert len(list((tmp_path / "files").iterdir())) == 2


async def test_an_error_is_one_sentence_and_typed_text_is_in_none_and_in_no_log(
    agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await agent.facts("start_app", package=SIGN_IN)
    await agent.facts("tap", x=0.5, y=0.2)
    await agent.facts("type", text=SECRET)
    sentences = [
        (await agent.call(name, **given)).text
        for name, given in (
            ("type", {"text": f"{SECRET}€"}),
            ("type", {"text": SECRET * 200}),
            ("press", {"key": "NO_SUCH_KEY"}),
            ("swipe", {"direction": "up", "start": [0.5, 0.5]}),
            ("swipe", {"start": [0.5, 0.5]}),
            ("start_app", {"package": "no package"}),
            ("start_app", {"package": "com.example.none"}),
            ("tap", {"x": 540, "y": 1200}),
            ("click", {}),
        )
    ]
    for sentence in sentences:
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert "Error" not in sentence
        assert SECRET not in sentence
    assert len(set(sentences)) == len(sentences)
    assert SECRET not in caplog.text
