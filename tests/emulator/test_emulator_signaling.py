"""The emulator's signaling, spoken to frame by frame over a real WebSocket."""

import asyncio
import base64
import json

import pytest
from websockets.exceptions import ConnectionClosed

import streamer
from streamer import emulator
from streamer.emulator import Faults
from streamer.emulator import phone as phone_module
from tests.support.phone_client import signaling


async def test_the_server_opens_connects_and_authorizes_in_this_order() -> None:
    async with emulator.serve(ping_interval_s=25, ping_timeout_s=5) as phone, signaling(phone) as client:
        handshake = await client.frame()
        assert handshake[0] == "0"
        opened = json.loads(handshake[1:])
        assert (opened["pingInterval"], opened["pingTimeout"], opened["upgrades"]) == (25_000, 5_000, [])
        assert opened["sid"]
        assert await client.frame() == "40"
        assert await client.event("authorize") == {"authorized": True, "code": 0}


@pytest.mark.parametrize(("ping", "pong"), [("2", "3"), ("2probe", "3probe")])
async def test_a_ping_is_answered(ping: str, pong: str) -> None:
    async with emulator.serve() as phone, signaling(phone) as client:
        await client.event("authorize")
        await client.websocket.send(ping)
        assert await client.frame() == pong


async def test_a_client_that_does_not_ping_is_dropped() -> None:
    async with emulator.serve(ping_interval_s=0.1, ping_timeout_s=0.1) as phone, signaling(phone) as client:
        await client.event("authorize")
        with pytest.raises(ConnectionClosed):
            await client.frame()


async def test_a_client_beyond_the_limit_is_refused_until_another_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(phone_module, "CLIENTS_LIMIT", 2)
    async with emulator.serve() as phone, signaling(phone) as first, signaling(phone) as second, asyncio.timeout(20):
        for client in (first, second):
            assert (await client.event("authorize"))["authorized"]
        async with signaling(phone) as third:
            assert (await third.frame())[0] == "0"
            assert (await third.frame()).startswith('44"this phone serves 2 clients at once')
            with pytest.raises(ConnectionClosed):
                await third.frame()
        with pytest.raises(streamer.SignalingRefusedError, match="serves 2 clients at once"):
            async with streamer.connect(
                phone.instance_id, endpoint=phone.endpoint, credentials=streamer.Token(phone.tenant_token)
            ):
                pass
        await second.websocket.close()
        while len(phone.clients) > 1:
            await asyncio.sleep(0.02)
        async with signaling(phone) as fourth:
            assert (await fourth.event("authorize"))["authorized"]


async def test_a_token_that_was_never_issued_is_invalid() -> None:
    async with emulator.serve() as phone, signaling(phone, "never-given-out") as client:
        assert await client.event("authorize") == {"authorized": False, "code": -1}


async def test_a_token_expires() -> None:
    async with emulator.serve(token_lifetime_s=0) as phone, signaling(phone) as client:
        assert await client.event("authorize") == {"authorized": False, "code": -2}


@pytest.mark.parametrize(("judged", "code"), [("invalid", -1), ("expired", -2)])
async def test_a_valid_token_can_be_rejected_on_demand(judged: str, code: int) -> None:
    async with emulator.serve(faults=Faults(token=judged)) as phone, signaling(phone) as client:
        assert await client.event("authorize") == {"authorized": False, "code": code}


async def test_the_phone_offers_frames_audio_and_data_and_loopback_alone() -> None:
    async with emulator.serve() as phone, signaling(phone) as client:
        message = await client.start()
        assert message["from"] == client.stream_id
        sdp = message["payload"]["sdp"]
        assert [line.split()[0] for line in sdp.splitlines() if line.startswith("m=")] == [
            "m=video",
            "m=audio",
            "m=application",
        ]
        addresses = {line.split()[4] for line in sdp.splitlines() if line.startswith("a=candidate:")}
        assert addresses == {"127.0.0.1"}
        candidate = (await client.event("message", "candidate"))["payload"]
        assert set(candidate) == {"label", "id", "candidate"}
        assert candidate["candidate"].startswith("candidate:")


async def test_events_with_an_ack_id_or_a_namespace_are_understood() -> None:
    async with emulator.serve() as phone, signaling(phone) as client:
        await client.event("authorize")
        await client.websocket.send('4217["start",{"room":"box","times":0}]')
        assert (await client.event("start"))["streamId"]
        await client.websocket.send('42/phones,["start",{"room":"box","times":0}]')
        assert (await client.event("start"))["streamId"]


@pytest.mark.parametrize(
    "frame", ["", "4", "42", "42[", "42{}", "42[1]", '42["message"]', '42["message",7]', "9?", "43"]
)
async def test_a_senseless_frame_is_ignored(frame: str) -> None:
    async with emulator.serve() as phone, signaling(phone) as client:
        await client.event("authorize")
        await client.websocket.send(frame)
        await client.websocket.send("2")
        assert await client.frame() == "3"


async def test_a_message_over_the_limit_ends_the_connection_with_1009() -> None:
    async with emulator.serve() as phone, signaling(phone) as client:
        await client.event("authorize")
        await client.websocket.send("42" + "x" * 1_000_001)
        with pytest.raises(ConnectionClosed) as closed:
            await client.frame()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def test_a_refusal_leaves_the_websocket_open_and_sends_nothing_more() -> None:
    async with emulator.serve(faults=Faults(refuse="not today")) as phone, signaling(phone) as client:
        assert (await client.frame())[0] == "0"
        assert await client.frame() == '44"not today"'
        await client.websocket.send("2")
        assert await client.frame() == "3"


@pytest.mark.parametrize(("step", "frames"), [("open", []), ("connect", ["0"]), ("authorize", ["0", "4"])])
async def test_silence_begins_at_the_requested_step(step: str, frames: list[str]) -> None:
    async with emulator.serve(faults=Faults(silent_at=step)) as phone, signaling(phone) as client:
        assert [(await client.frame())[0] for _ in frames] == frames
        await client.websocket.send("2")
        assert await client.frame() == "3"


@pytest.mark.parametrize("step", ["start", "offer"])
async def test_later_silence_leaves_the_earlier_steps_alone(step: str) -> None:
    async with emulator.serve(faults=Faults(silent_at=step)) as phone, signaling(phone) as client:
        await client.event("authorize")
        await client.emit("start", {"room": "box", "times": 0})
        if step == "offer":
            client.stream_id = (await client.event("start"))["streamId"]
            await client.emit("message", {"to": client.stream_id, "type": "init", "data": "e30="})
        await client.websocket.send("2")
        assert await client.frame() == "3"


@pytest.mark.parametrize("step", ["open", "connect", "authorize", "start", "offer"])
async def test_the_websocket_is_cut_at_the_requested_step(step: str) -> None:
    async with emulator.serve(faults=Faults(drop_at=step)) as phone, signaling(phone) as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.start()
        assert closed.value.rcvd is None  # no closing handshake: the connection broke


async def test_pings_may_go_unanswered() -> None:
    async with emulator.serve(faults=Faults(no_pong=True)) as phone, signaling(phone) as client:
        await client.event("authorize")
        await client.websocket.send("2")
        await client.emit("start", {"room": "box", "times": 0})
        assert (await client.frame()).startswith('42["start"')


async def test_a_refused_start_echoes_how_often_it_was_tried() -> None:
    async with emulator.serve(faults=Faults(refuse_start=7)) as phone, signaling(phone) as client:
        await client.event("authorize")
        await client.emit("start", {"room": "box", "times": 3})
        refusal = await client.event("start")
        assert (refusal["code"], refusal["times"]) == (7, 3)
        assert refusal["message"]


async def test_candidates_may_come_before_the_offer() -> None:
    async with emulator.serve(faults=Faults(early_candidates=True)) as phone, signaling(phone) as client:
        await client.event("authorize")
        await client.emit("start", {"room": "box", "times": 0})
        client.stream_id = (await client.event("start"))["streamId"]
        await client.emit("message", {"to": client.stream_id, "type": "init", "data": "e30="})
        assert (await client.event("message"))["type"] == "candidate"
        assert "a=candidate:" not in (await client.event("message", "offer"))["payload"]["sdp"]


async def test_messages_may_carry_base64_data() -> None:
    async with emulator.serve(faults=Faults(data_payload=True)) as phone, signaling(phone) as client:
        message = await client.start()
        assert "payload" not in message
        assert json.loads(base64.b64decode(message["data"]))["type"] == "offer"


async def test_an_offer_may_be_invalid_sdp() -> None:
    async with emulator.serve(faults=Faults(bad_offer=True)) as phone, signaling(phone) as client:
        assert "m=" not in (await client.start())["payload"]["sdp"]
