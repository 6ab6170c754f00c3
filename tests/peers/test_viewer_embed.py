"""The viewer in a frame of another page, in a real browser: who may have it there, what it says, and what it does."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import FrameLocator, Page

import streamer
from streamer import Viewer, emulator
from streamer.emulator import EmulatedPhone, Key, Touch
from streamer.viewer import view
from tests.support.commands import environment
from tests.support.everywhere import Connect
from tests.support.example_programs import running
from tests.support.peers.browser import browser, watch_errors
from tests.support.waiting import LIMIT_S, QUICK, until

PAGE = """<!doctype html><meta charset="utf-8"><title>Lab</title><link rel="icon" href="data:,">
<iframe id="viewer" src="{url}"></iframe> <iframe src="{stranger}/stranger"></iframe>
<script>
const heard = [];
addEventListener("message", ({{ source, origin, data }}) => {{
  if (source === document.getElementById("viewer").contentWindow) heard.push({{ origin, ...data }});
}});
const say = (message) => document.getElementById("viewer").contentWindow.postMessage(message, new URL("{url}").origin);
</script>"""


class Lab:
    """A site with a page that has the viewer in a frame, and in another one a page of a stranger."""

    viewer_url = ""
    port = 0

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def stranger(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            request = await reader.readuntil(b"\r\n\r\n")
            page = PAGE.format(url=self.viewer_url, stranger=self.stranger) if request.startswith(b"GET / ") else "<p>"
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\nConnection: close"
            writer.write(f"{head}\r\n\r\n{page}".encode())
            await writer.drain()

    @contextlib.asynccontextmanager
    async def opened(self, viewer: Viewer, *, phone: str = "") -> AsyncIterator[tuple[Page, FrameLocator]]:
        """Open the page in a browser."""
        self.viewer_url = viewer.url.replace("/#", f"/?phone={phone}#") if phone else viewer.url
        async with browser() as chromium:
            page = await chromium.new_page()
            page.set_default_timeout(LIMIT_S * 1000)
            await page.goto(f"{self.origin}/")
            yield page, page.frame_locator("#viewer")


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    lab = Lab()
    async with await asyncio.start_server(lab.answer, "localhost", 0) as server:
        lab.port = server.sockets[0].getsockname()[1]
        yield lab


async def says(page: Page, what: str) -> dict[str, object]:
    """Wait for a message of the viewer's, and return it."""
    found = await page.wait_for_function(f"heard.find(({{ say }}) => say === '{what}')")
    return dict(await found.json_value())


def keys(phone: EmulatedPhone) -> list[int]:
    return [read.code for read in phone.inputs if isinstance(read, Key) and read.action == 0]


def touches(phone: EmulatedPhone) -> list[tuple[int, float, float]]:
    return [
        (read.action, round(read.points[0].x, 3), round(read.points[0].y, 3))
        for read in phone.inputs
        if isinstance(read, Touch) and read.action < 2
    ]


async def test_the_example_hears_what_happens_to_the_phone_and_acts_on_it() -> None:
    async with (
        emulator.serve(width=360, height=640, audio=False) as phone,
        running("embed/server", phone.instance_id, "--port", "0", env=environment(phone)) as server,
        browser() as chromium,
    ):
        assert server.stdout is not None
        address = (await server.stdout.readline()).decode().removeprefix("open ").strip()
        for url in (address, address.replace("127.0.0.1", "localhost")):
            phone.inputs.clear()
            page = await chromium.new_page()
            page.set_default_timeout(LIMIT_S * 1000)
            errors = watch_errors(page)
            await page.goto(url)
            await page.frame_locator("#phone").locator("#screen[data-drawn]").wait_for()
            await page.wait_for_function("document.getElementById('state').textContent === 'streaming'")
            await page.get_by_role("button", name="Home").click()
            await page.get_by_role("textbox").fill("hi")
            await page.get_by_role("button", name="Type").click()
            await until(lambda: keys(phone) == [3, 36, 37])
            await page.get_by_role("button", name="Tap the middle").click()
            await page.get_by_role("button", name="Swipe up").click()
            await until(lambda: touches(phone) == [(0, 0.5, 0.5), (1, 0.5, 0.5), (0, 0.5, 0.7), (1, 0.5, 0.3)])
            await page.get_by_role("button", name="Screenshot").click()
            shot = await page.wait_for_function("document.getElementById('screenshot').naturalWidth")
            assert await shot.json_value() == 360
            phone.rotate()
            await page.wait_for_function("document.getElementById('phone').style.aspectRatio === '640 / 360'")
            await phone.restart()
            await page.wait_for_function("document.getElementById('messages').textContent.includes('interrupted')")
            await page.wait_for_function("document.getElementById('state').textContent === 'streaming'")
            phone.rotate()
            await page.wait_for_function("document.getElementById('phone').style.aspectRatio === '360 / 640'")
            assert errors == []
            await page.close()
        server.send_signal(signal.SIGINT)
        async with asyncio.timeout(LIMIT_S):
            assert await server.wait() == 130


@pytest.mark.parametrize("embed_from", [(), "http://lab.example"])
async def test_a_page_of_an_origin_that_is_not_named_gets_no_frame(
    phone: EmulatedPhone, connect: Connect, lab: Lab, embed_from: str
) -> None:
    async with connect(phone) as session, session.view(embed_from=embed_from) as viewer:
        lab.viewer_url = viewer.url
        async with browser() as chromium:
            page = await chromium.new_page()
            errors = watch_errors(page)
            await page.goto(f"{lab.origin}/")
            await until(lambda: any("frame-ancestors" in error for error in errors))
        assert viewer.pages == 0


async def test_only_the_page_around_is_heard_and_it_is_never_told_the_token(connect: Connect, lab: Lab) -> None:
    async with (
        emulator.serve(width=360, height=640) as phone,
        connect(phone, reconnect=QUICK) as session,
        session.view(embed_from=[lab.origin, lab.stranger]) as viewer,
        lab.opened(viewer) as (page, frame),
    ):
        ready = await says(page, "ready")
        assert ready["origin"] == viewer.url.partition("/#")[0]
        assert (ready["phone"], ready["readOnly"], ready["state"]) == (phone.instance_id, False, "streaming")
        await frame.locator("#screen[data-drawn]").wait_for()
        assert (await says(page, "size"))["height"] == 640
        assert not await frame.locator("header").is_visible()

        stranger = next(each for each in page.frames if each.url.endswith("/stranger"))
        await stranger.evaluate("parent.frames[0].postMessage({ do: 'press', key: 'HOME' }, '*')")
        await page.evaluate("say({ do: 'press', key: 'BACK' })")
        await until(lambda: keys(phone) == [4])

        for message, sentence in (
            ("{ do: 'tap', x: 2, y: 0, id: 1 }", "tap: expected x and y from 0 to 1"),
            (
                "{ do: 'record', on: true, id: 2 }",
                'expected "do" to be one of hello, screenshot, tap, swipe, press, type',
            ),
            ("{ do: 'press', key: 'NO_KEY', id: null }", None),
            ("{ do: 'swipe', from: { x: 0, y: 0 }, to: { x: 1, y: 1 }, seconds: 0, id: 4 }", "swipe: expected seconds"),
            ("{ do: 'swipe', id: 5 }", "swipe: expected x and y from 0 to 1"),
            ("{ do: 'type', text: 'x'.repeat(20_000), id: 6 }", "type: expected text of 1 to 1000 characters"),
        ):
            await page.evaluate("heard.length = 0")
            await page.evaluate(f"say({message})")
            error = await says(page, "error")
            if sentence is not None:
                assert str(error["text"]).startswith(sentence)
                assert f"id: {error['id']}" in message
            else:
                assert "NO_KEY" in str(error["text"])
        assert viewer.url.partition("#")[2] not in str(await page.evaluate("JSON.stringify(heard)"))
        await page.evaluate("heard.length = 0")
        swipe = "{ do: 'swipe', from: { x: 0, y: 0 }, to: { x: 1, y: 1 }, seconds: 10, id: number }"
        await page.evaluate(f"for (let number = 0; number < 101; number += 1) say({swipe})")
        error = await says(page, "error")
        assert (error["id"], error["text"]) == (100, "swipe: expected at most 100 actions at a time")


async def test_a_viewer_that_is_read_only_does_nothing_for_the_page_around(
    phone: EmulatedPhone, connect: Connect, lab: Lab
) -> None:
    async with (
        connect(phone) as session,
        session.view(embed_from=lab.origin, read_only=True) as viewer,
        lab.opened(viewer) as (page, frame),
    ):
        assert (await says(page, "ready"))["readOnly"] is True
        await frame.locator("#screen[data-drawn]").wait_for()
        await page.evaluate("say({ do: 'press', key: 'BACK', id: 7 })")
        error = await says(page, "error")
        assert (error["id"], str(error["text"])[:12]) == (7, "press: this ")
        await page.evaluate("say({ do: 'screenshot', id: 'a' })")
        assert (await says(page, "screenshot"))["id"] == "a"
        assert keys(phone) == []


async def test_the_page_around_learns_the_end(phone: EmulatedPhone, connect: Connect, lab: Lab) -> None:
    async with (
        connect(phone, reconnect=None) as session,
        session.view(embed_from=lab.origin) as viewer,
        lab.opened(viewer) as (page, _),
    ):
        await says(page, "ready")
        await phone.close_clients("1402")
        ended = await says(page, "state")
        assert (ended["state"], "another device" in str(ended["reason"])) == ("closed", True)


async def test_of_several_phones_the_page_around_names_one(lab: Lab) -> None:
    async with contextlib.AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(emulator.serve_fleet(2, width=180, height=320))
        sessions = [
            await stack.enter_async_context(
                streamer.connect(phone.instance_id, endpoint=fleet.endpoint, credentials=fleet.tenant_token)
            )
            for phone in fleet.phones
        ]
        viewer = await stack.enter_async_context(view(*sessions, embed_from=lab.origin))
        async with lab.opened(viewer) as (page, _):
            assert str((await says(page, "error"))["text"]).startswith("this viewer shows several phones: name one")
        second = fleet.phones[1].instance_id
        async with lab.opened(viewer, phone=second) as (page, frame):
            assert (await says(page, "ready"))["phone"] == second
            await frame.locator("#screen[data-drawn]").wait_for()
