"""Chromium as the phone, behind the npm socket.io server: a WebRTC stack that shares no code with ours."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt
import pytest

import streamer
from streamer.control import frames
from streamer.control.frames import Key, Motion, Point, Touch
from streamer.emulator.barcode import read_barcode
from tests.support.peers.auth_api import DEVICE_ID, auth_api
from tests.support.peers.chromium_phone import TONE_HZ, Chromium, Page, find_chromium
from tests.support.peers.npm import SignalingServer
from tests.support.peers.presence import LIMIT_S, require_peer

PORTRAIT: Final = (1280, 720)
# With cells of the barcode as large as AV1's blocks, 8 or 16 pixels, Chromium's encoder leaves some of them as in the
# frame before (156; libaom and dav1d both decode them so).
SMALL: Final = {"width": 280, "height": 496}


@pytest.fixture
async def browser() -> AsyncIterator[Chromium]:
    async with Chromium(require_peer("chromium", find_chromium())) as browser:
        yield browser


def find_route() -> str | None:
    """Return the address from which this machine would reach others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unconnected, contextlib.suppress(OSError):
        unconnected.connect(("192.0.2.1", 9))  # for documentation only (RFC 5737)
        return str(unconnected.getsockname()[0])
    return None


@contextlib.asynccontextmanager
async def streaming(
    browser: Chromium,
    signaling: SignalingServer,
    reconnect: streamer.Reconnect | None = None,
    /,
    **options: str | int,
) -> AsyncGenerator[tuple[Page, streamer.Session]]:
    """Give the phone's page and a session with it."""
    page = await browser.open_phone(signaling.url, DEVICE_ID, **options)
    async with (
        auth_api(signaling.url) as endpoint,
        streamer.connect(
            "Q39YyZvI", endpoint=endpoint, credentials=streamer.Token("tenant-token"), reconnect=reconnect
        ) as phone,
    ):
        yield page, phone


async def watch(
    phone: streamer.Session, *, shape: tuple[int, int] = PORTRAIT, after: int = -1, count: int = 30
) -> None:
    """Look until `count` different frames of that shape came that were drawn after the one numbered `after`."""
    counters: list[int] = []
    # The limit is for a machine that is busy with other tests: a stall is not what is looked for here.
    async with asyncio.timeout(LIMIT_S), phone.frames("every", limit=150) as frames:
        async for frame in frames:
            gray = frame.to_ndarray("gray")
            if gray.shape == shape:
                counters.append(counter_of(gray))
            if len({counter for counter in counters if counter > after}) == count:
                break
    # Chromium may send a frame twice (a keyframe of what is on the screen), but never an older one.
    assert counters == sorted(counters)


def counter_of(gray: npt.NDArray[np.uint8]) -> int:
    barcode = read_barcode(gray)
    assert barcode is not None, "the barcode of a frame cannot be read"
    return barcode.counter


async def drawn(page: Page) -> int:
    """Return the counter of the last frame that the page drew."""
    return int(await page.evaluate("phone.screen.counter - 1"))


async def test_every_frame_decodes_and_its_counter_rises(browser: Chromium, signaling_server: SignalingServer) -> None:
    async with streaming(browser, signaling_server) as (page, phone):
        await watch(phone, after=await drawn(page))


async def test_a_phone_without_transport_wide_feedback_gets_our_bandwidth_estimate(
    browser: Chromium, signaling_server: SignalingServer
) -> None:
    left_out = "transport-cc,transport-wide-cc"  # the feedback and its header extension
    async with streaming(browser, signaling_server, scene="busy", leftOut=left_out) as (page, phone):
        await page.evaluate("globalThis.begun = performance.now()")
        # By itself Chromium begins with 300 kbit/s and adds 8 % a second.
        by_itself = "1e6 * 1.08 ** ((performance.now() - begun) / 1000)"
        await page.wait_for(f"phone.status().then(({{ bandwidth }}) => bandwidth > {by_itself})")
        await watch(phone, after=await drawn(page))


@pytest.mark.parametrize("codecs", ["H264/4d00", "VP8,H264"])
async def test_any_h264_profile_is_accepted_beside_any_other_codec(
    browser: Chromium, signaling_server: SignalingServer, codecs: str
) -> None:
    async with streaming(browser, signaling_server, codecs=codecs) as (page, phone):
        await watch(phone, after=await drawn(page))
        assert await page.evaluate("phone.sentCodec()") == "video/H264"


@pytest.mark.parametrize("codecs", ["VP8", "VP9,VP8", "AV1"])
async def test_a_phone_without_h264_sends_its_preferred_codec(
    browser: Chromium, signaling_server: SignalingServer, codecs: str
) -> None:
    async with streaming(browser, signaling_server, codecs=codecs, **SMALL) as (page, phone):
        await watch(phone, shape=(496, 280), after=await drawn(page))
        assert await page.evaluate("phone.sentCodec()") == f"video/{codecs.partition(',')[0]}"


@pytest.mark.parametrize(("codec", "mode"), [("VP9", "L2T3"), ("AV1", "L2T2")])
async def test_a_frame_of_several_spatial_layers_is_received_whole(
    browser: Chromium, signaling_server: SignalingServer, codec: str, mode: str
) -> None:
    async with streaming(browser, signaling_server, codecs=codec, scalability=mode, **SMALL) as (page, phone):
        await watch(phone, shape=(496, 280), after=await drawn(page), count=10)
        assert await page.evaluate("phone.scalabilityMode()") == mode


async def test_a_recording_holds_the_tone_that_the_phone_plays(
    browser: Chromium, signaling_server: SignalingServer, tmp_path: Path
) -> None:
    path = tmp_path / "chromium.mp4"
    async with streaming(browser, signaling_server) as (_, phone), phone.record(path):
        await watch(phone, count=60)
    with av.open(path) as file:
        audio = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
        rate = file.streams.audio[0].rate
    second = audio[-rate:]
    assert len(second) == rate
    assert abs(int(np.argmax(np.abs(np.fft.rfft(second)))) - TONE_HZ) <= 1


@pytest.mark.parametrize("opened_by", ["phone", "client"])
async def test_the_input_channel_opens_from_either_side(
    browser: Chromium, signaling_server: SignalingServer, opened_by: str
) -> None:
    async with streaming(browser, signaling_server, inputOpenedBy=opened_by) as (page, phone):
        async with asyncio.timeout(LIMIT_S):
            await phone.wait_input()
        await page.wait_for("phone.input?.readyState === 'open'")


@pytest.mark.parametrize("opened_by", ["phone", "client"])
async def test_actions_arrive_once_and_in_order_and_messages_come_back(
    browser: Chromium, signaling_server: SignalingServer, opened_by: str
) -> None:
    async with streaming(browser, signaling_server, inputOpenedBy=opened_by) as (page, phone):
        messages = phone.messages()
        await phone.tap(0.5, 0.25)
        await phone.press("BACK")
        await phone.type("ab")
        await phone.send_message({"type": "my_app", "n": 1})
        await phone.send_frame(214, b"pad")
        last = frames.encode_frame(214, b"pad").hex()
        await page.wait_for(f"phone.inputMessages.includes('{last}')")
        got = [bytes.fromhex(message) for message in await page.evaluate("phone.inputMessages")]
        reliable = [frame[:5] + frame[9:] for frame in got if frame[4] not in {205, 207} or frame[10] != 2]
        point = (Point(0, 0.5, 0.25),)
        expected = [
            *(Touch(motion, point).encode(0) for motion in (Motion.DOWN, Motion.UP)),
            *(Key(motion, code).encode(0) for code in (4, 29, 30) for motion in (Motion.DOWN, Motion.UP)),
            frames.encode_message({"type": "my_app", "n": 1}),
            bytes.fromhex(last),
        ]
        assert reliable == [frame[:5] + frame[9:] for frame in expected]
        await page.evaluate(
            f"phone.sendInput('{frames.encode_message({'type': 'app_message', 'data': 'hello'}).hex()}')"
        )
        assert await anext(messages) == {"type": "app_message", "data": "hello"}


async def test_a_rotated_phone_goes_on_in_its_new_size(browser: Chromium, signaling_server: SignalingServer) -> None:
    async with streaming(browser, signaling_server) as (page, phone):
        await watch(phone, count=5)
        await page.evaluate("phone.rotate()")
        await watch(phone, shape=PORTRAIT[::-1])


async def test_a_single_frame_of_a_still_screen_reaches_a_consumer(
    browser: Chromium, signaling_server: SignalingServer
) -> None:
    async with streaming(browser, signaling_server) as (page, phone), phone.frames() as frames:
        await anext(frames)
        alone = await page.evaluate("phone.drawAlone()")
        async with asyncio.timeout(LIMIT_S):
            while counter_of((await anext(frames)).to_ndarray("gray")) != alone:
                pass


@pytest.mark.parametrize("codecs", ["H264", "VP8"])
async def test_what_an_encoder_does_to_a_screen_that_has_come_to_rest_is_still(
    browser: Chromium, signaling_server: SignalingServer, codecs: str
) -> None:
    async with streaming(browser, signaling_server, codecs=codecs, scene="busy", **SMALL) as (page, phone):
        with pytest.raises(streamer.WaitTimeoutError):
            await phone.wait_until_still(quiet_s=0.3, timeout_s=1)
        await page.evaluate("phone.rest()")
        await phone.wait_until_still(quiet_s=0.3, timeout_s=LIMIT_S)
        frames = "phone.peer.rtpStatistics('outbound-rtp').then(({ video }) => video.framesEncoded)"
        encoded = await page.evaluate(frames)
        await page.wait_for(f"{frames}.then((now) => now > {encoded})")  # the same picture, again


async def test_a_new_client_sees_a_still_screen(browser: Chromium, signaling_server: SignalingServer) -> None:
    async with streaming(browser, signaling_server) as (page, phone):
        await watch(phone, count=5)
        alone = await page.evaluate("phone.drawAlone()")
        async with asyncio.timeout(LIMIT_S), phone.frames() as frames:
            assert counter_of((await anext(frames)).to_ndarray("gray")) == alone


@pytest.mark.parametrize("ice_restart", [False, True])
async def test_a_second_offer_is_answered_and_the_frames_go_on(
    browser: Chromium, signaling_server: SignalingServer, ice_restart: bool
) -> None:
    async with streaming(browser, signaling_server) as (page, phone):
        await watch(phone, count=5)
        before = phone._connection.peer
        await page.evaluate(f"phone.offer({{ iceRestart: {json.dumps(ice_restart)} }})")
        await page.wait_for("phone.peer.connection.signalingState === 'stable'")
        async with asyncio.timeout(LIMIT_S):
            while ice_restart and phone._connection.peer is before:  # a restart is answered by a fresh one
                await asyncio.sleep(0.05)
        await watch(phone, after=await drawn(page))
        assert (phone._connection.peer is before) is not ice_restart


async def test_a_phone_whose_candidates_are_mdns_names_is_reached(signaling_server: SignalingServer) -> None:
    require_peer("a route to other machines, without which Chromium has no such candidate", find_route())
    async with (
        Chromium(require_peer("chromium", find_chromium()), hides_addresses=True) as browser,
        streaming(browser, signaling_server) as (page, phone),
    ):
        await watch(phone, after=await drawn(page))


async def test_a_phone_that_closes_the_connection_ends_the_frames_with_an_error(
    browser: Chromium, signaling_server: SignalingServer
) -> None:
    async with streaming(browser, signaling_server) as (page, phone):
        await watch(phone, count=5)
        await page.evaluate("phone.close()")
        with pytest.raises(streamer.ConnectionLostError):
            await watch(phone, after=2**32)


async def test_frames_go_on_without_a_gap_when_only_our_signaling_is_lost(
    browser: Chromium, signaling_server: SignalingServer
) -> None:
    async with (
        streaming(browser, signaling_server, streamer.Reconnect(), many=1, **SMALL) as (_, phone),
        phone.frames("every", limit=600) as frames,
    ):
        events = phone.events()
        last = await anext(frames)
        await signaling_server.tell("drop")
        kinds = []
        async with asyncio.timeout(LIMIT_S):
            async for event in events:
                kinds.append(event.kind)
                if event.kind in {"renewed", "resumed"}:
                    break
            async for frame in frames:
                if frame.discontinuity:  # the first one of the next connection
                    break
                last = frame
        assert kinds == ["streaming", "problem", "renewed"]
        assert phone.stats().interruptions == 0
        assert phone.stats().frames_lost == 0
    # Either encoder may be behind the other. Chromium skips a frame that it has no time to encode.
    assert counter_of(frame.to_ndarray("gray")) - counter_of(last.to_ndarray("gray")) <= 3


async def test_the_page_of_a_client_gets_the_same_stream(browser: Chromium, signaling_server: SignalingServer) -> None:
    await browser.open_phone(signaling_server.url, DEVICE_ID)
    client = await browser.open_receiver(signaling_server.url, DEVICE_ID, "device-token")
    await client.wait_for("receiver.input?.readyState === 'open'")
    await client.wait_for(
        "receiver.status().then(({ video, audio }) => video?.framesDecoded > 30 && audio?.packetsReceived)"
    )
