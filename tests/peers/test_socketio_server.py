"""Our client against the npm socket.io server, with the npm socket.io-client as the phone's side."""

import asyncio
import base64
import contextlib
import json
import logging
import traceback
import uuid
from collections.abc import AsyncGenerator
from typing import Any, Final

import pytest
from websockets.asyncio.client import connect

from streamer.errors import (
    ConfigurationError,
    DeviceTokenError,
    SignalingClosedError,
    SignalingError,
    SignalingProtocolError,
    SignalingRefusedError,
    SignalingTimeoutError,
    SignalingUnreachableError,
    TakenOverError,
)
from streamer.secret import Secret
from streamer.signaling import client, conversation
from streamer.signaling.client import SignalingClient
from streamer.signaling.conversation import EVENTS_LIMIT, MESSAGE_LIMIT
from streamer.signaling.messages import (
    Authorized,
    Event,
    Offer,
    RemoteCandidate,
    SignalingRequest,
    Started,
    websocket_url,
)
from tests.support.peers.npm import Script, SignalingServer, StartClient, StartServer
from tests.support.peers.presence import LIMIT_S

DEVICE_ID: Final = "device 1/ä"
TOKEN: Final = "device-token+/=&%"
PING_INTERVAL_MS: Final = 300
PING_TIMEOUT_MS: Final = 600
SDP: Final = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
CANDIDATE: Final = "1 1 udp 2130706431 192.0.2.1 40000 typ host"
BARE_CANDIDATE: Final = {"type": "candidate", "payload": {"candidate": CANDIDATE}}


def request(url: str, **changes: Any) -> SignalingRequest:
    facts: dict[str, Any] = {
        "signaling_url": url,
        "device_id": DEVICE_ID,
        "device_token": Secret(TOKEN),
        "streaming_id": "3d0e5d0c-7a38-4c86-a9e8-9d8f6ad2ef3e",
        "client_uuid": str(uuid.uuid4()),
    }
    return SignalingRequest(**facts | changes)


async def next_event(signaling: SignalingClient) -> Event:
    async with asyncio.timeout(LIMIT_S):
        return await anext(signaling)


async def error_of(signaling: SignalingClient) -> SignalingError:
    """Return the error that ends the conversation, whatever events come before."""
    async with asyncio.timeout(LIMIT_S):
        try:
            async for _ in signaling:
                pass
        except SignalingError as error:
            return error
    pytest.fail("expected an error, but the conversation just ended")


def is_ours(connection: dict[str, str]) -> bool:
    """Whether what the server says of a connection is about ours, not the phone's."""
    return connection["role"] == "client"


class Phone:
    """The phone's side: what a test has it say, it says through the npm client."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._client = ""

    async def receive(self, kind: str) -> dict[str, Any]:
        """Return the next message, which has to be of that type."""
        message: dict[str, Any] = await self._script.wait_for("message")
        assert message["type"] == kind
        self._client = message["from"]
        return message

    async def send(self, kind: str, **content: Any) -> None:
        await self._script.tell("emit", "message", {"to": self._client, "type": kind, **content})


class Stage:
    """A server, a phone that is connected to it, and our client."""

    def __init__(self, server: SignalingServer, phone: Phone, signaling: SignalingClient) -> None:
        self.server = server
        self.phone = phone
        self.signaling = signaling

    async def come_to_init(self) -> dict[str, Any]:
        """Go through the conversation until the phone has the client's init; return that message."""
        assert await next_event(self.signaling) == Authorized()
        assert isinstance(await next_event(self.signaling), Started)
        return await self.phone.receive("init")

    async def come_to_offer(self) -> None:
        """Go through the conversation until the client has the phone's offer."""
        await self.come_to_init()
        await self.phone.send("offer", payload={"type": "offer", "sdp": SDP})
        assert await next_event(self.signaling) == Offer(SDP)


@contextlib.asynccontextmanager
async def staged(
    start_server: StartServer, start_client: StartClient, changes: dict[str, Any] | None = None, **options: Any
) -> AsyncGenerator[Stage]:
    async with (
        start_server(**options) as server,
        start_client(server.url, {"role": "phone", "boxid": DEVICE_ID}) as phone,
    ):
        await phone.wait_for("connect")
        async with SignalingClient(request(server.url, **changes or {})) as signaling:
            yield Stage(server, Phone(phone), signaling)


@pytest.fixture
async def stage(start_signaling_server: StartServer, start_socketio_client: StartClient) -> AsyncGenerator[Stage]:
    async with staged(start_signaling_server, start_socketio_client, codes={TOKEN: 0}) as stage:
        yield stage


@pytest.fixture
async def pinging_stage(
    start_signaling_server: StartServer, start_socketio_client: StartClient
) -> AsyncGenerator[Stage]:
    """A stage whose server wants a ping often, and soon gives up a client without: not for a test that is busy."""
    options: dict[str, Any] = {"pingInterval": PING_INTERVAL_MS, "pingTimeout": PING_TIMEOUT_MS}
    async with staged(start_signaling_server, start_socketio_client, codes={TOKEN: 0}, **options) as stage:
        yield stage


async def test_the_conversation_begins_with_authorize_start_and_init(stage: Stage) -> None:
    assert await next_event(stage.signaling) == Authorized()
    started = await next_event(stage.signaling)
    init = await stage.phone.receive("init")
    assert started == Started()
    assert set(init) == {"type", "data", "from"}


async def test_the_query_names_device_token_and_stream(
    start_signaling_server: StartServer, start_socketio_client: StartClient
) -> None:
    async with start_signaling_server() as server, SignalingClient(request(server.url + "///", streaming_id="a b/c")):
        query = await server.wait_for("connect")
    assert {name: query[name] for name in ("EIO", "transport", "authtype", "boxid", "token")} == {
        "EIO": "3",
        "transport": "websocket",
        "authtype": "token",
        "boxid": DEVICE_ID,
        "token": TOKEN,
    }
    assert (query["sessionid"], query["streamingid"]) == (TOKEN, "a b/c")


async def test_start_names_the_device_and_counts_reconnects(
    start_signaling_server: StartServer, start_socketio_client: StartClient
) -> None:
    async with staged(start_signaling_server, start_socketio_client, {"times": 3}) as stage:
        assert await stage.server.wait_for("start") == {"room": DEVICE_ID, "times": 3}


async def test_init_says_who_we_are_and_what_we_want(
    start_signaling_server: StartServer, start_socketio_client: StartClient
) -> None:
    changes = {"client_uuid": "uuid-1", "volume": 40, "streaming_id": "stream-1"}
    async with staged(start_signaling_server, start_socketio_client, changes) as stage:
        init = json.loads(base64.b64decode((await stage.come_to_init())["data"], validate=True))
    assert init == {
        "sole": True,
        "mode": "app",
        "role": "master",
        "profile_name": "master",
        "network_type": "wifi",
        "profile": 2,
        "volume": 40,
        "vcodec": "h264",
        "venctype": 0,
        "frame_aspect": "16:9",
        "keeping_time": 60,
        "user_agent": "koophone-streamer",
        "client_version": "1.0.0",
        "uuid": "uuid-1",
        "sessionid": TOKEN,
        "streamingid": "stream-1",
        "room_session": "",
    }


async def test_offer_answer_and_candidates_pass_in_both_directions(stage: Stage) -> None:
    await stage.come_to_offer()
    stage.signaling.send_answer("v=0 answer")
    assert (await stage.phone.receive("answer"))["payload"] == {"type": "answer", "sdp": "v=0 answer"}
    await stage.phone.send("candidate", payload={"label": 0, "id": "video", "candidate": f"candidate:{CANDIDATE}"})
    assert await next_event(stage.signaling) == RemoteCandidate(CANDIDATE, "video", 0)
    stage.signaling.send_candidate(CANDIDATE, "audio", 1)
    assert (await stage.phone.receive("candidate"))["payload"] == {
        "label": 1,
        "id": "audio",
        "candidate": f"candidate:{CANDIDATE}",
    }


async def test_a_candidate_may_come_before_the_offer(stage: Stage) -> None:
    await stage.come_to_init()
    await stage.phone.send("candidate", payload={"label": 0, "id": "0", "candidate": CANDIDATE})
    await stage.phone.send("offer", payload={"type": "offer", "sdp": SDP})
    assert await next_event(stage.signaling) == RemoteCandidate(CANDIDATE, "0", 0)
    assert await next_event(stage.signaling) == Offer(SDP)


async def test_base64_data_says_the_same_as_payload(stage: Stage) -> None:
    await stage.come_to_init()
    candidate = {"label": 0, "id": "0", "candidate": CANDIDATE}
    for kind, content in (("candidate", candidate), ("offer", {"type": "offer", "sdp": SDP})):
        await stage.phone.send(kind, data=base64.b64encode(json.dumps(content).encode()).decode())
    assert await next_event(stage.signaling) == RemoteCandidate(CANDIDATE, "0", 0)
    assert await next_event(stage.signaling) == Offer(SDP)


async def test_a_second_offer_is_an_event_like_the_first(stage: Stage) -> None:
    await stage.come_to_offer()
    stage.signaling.send_answer("v=0 answer")
    await stage.phone.send("offer", payload={"type": "offer", "sdp": SDP + "a=second\r\n"})
    assert await next_event(stage.signaling) == Offer(SDP + "a=second\r\n")


async def test_a_binary_event_from_the_phone_carries_its_content_in_the_attachment(stage: Stage) -> None:
    await stage.come_to_init()
    data = base64.b64encode(json.dumps({"type": "offer", "sdp": SDP}).encode())
    await stage.phone.send("offer", data={"$base64": base64.b64encode(data).decode()})
    assert await next_event(stage.signaling) == Offer(SDP)


async def test_binary_attachments_stand_where_their_placeholders_stood(stage: Stage) -> None:
    await stage.come_to_init()
    data = base64.b64encode(json.dumps({"type": "offer", "sdp": SDP}).encode())
    first, second, third = ({"$base64": base64.b64encode(part).decode()} for part in (b"\x04one", b"", data))
    await stage.phone.send("offer", others=[first, second], data=third)
    assert await next_event(stage.signaling) == Offer(SDP)


async def test_an_event_that_wants_an_acknowledgement_is_an_event_and_gets_none(stage: Stage) -> None:
    await stage.come_to_offer()
    await stage.server.tell("emitForAcknowledgement", "message", BARE_CANDIDATE)
    assert await next_event(stage.signaling) == RemoteCandidate(CANDIDATE, None, None)
    stage.signaling.send_answer("after it")
    answer = await stage.server.wait_for("message")
    while answer["type"] != "answer":
        answer = await stage.server.wait_for("message")


async def test_what_happens_in_another_namespace_is_nothing_to_us(stage: Stage) -> None:
    await stage.come_to_offer()
    await stage.server.tell("emitIn", "/other", "close", {"reason": "1402"})
    await stage.server.tell("emit", "message", BARE_CANDIDATE)
    assert await next_event(stage.signaling) == RemoteCandidate(CANDIDATE, None, None)


@pytest.mark.parametrize(
    ("reason", "kind", "code", "retryable"),
    [
        ("1402|another device", TakenOverError, 1402, False),
        ("1415,token", DeviceTokenError, 1415, True),
        ("1406", SignalingClosedError, 1406, True),
        (1403, SignalingClosedError, 1403, False),
        ("7777 never heard of", SignalingClosedError, 7777, True),
        ("going away", SignalingClosedError, None, True),
    ],
)
async def test_every_kind_of_close_reason_has_its_error(
    stage: Stage, reason: str | int, kind: type[SignalingError], code: int | None, retryable: bool
) -> None:
    await stage.come_to_offer()
    await stage.server.tell("emit", "close", {"reason": reason})
    error = await error_of(stage.signaling)
    assert type(error) is kind
    assert isinstance(error, SignalingClosedError | DeviceTokenError)
    assert (error.code, error.retryable) == (code, retryable)


@pytest.mark.parametrize(("codes", "code"), [({}, -1), ({TOKEN: -2}, -2)])
async def test_a_token_that_is_not_accepted_has_its_code(
    start_signaling_server: StartServer, codes: dict[str, int], code: int
) -> None:
    async with start_signaling_server(codes=codes) as server, SignalingClient(request(server.url)) as signaling:
        error = await error_of(signaling)
    assert isinstance(error, DeviceTokenError)
    assert error.code == code


async def test_a_start_that_is_refused_has_its_code_and_its_text(start_signaling_server: StartServer) -> None:
    async with start_signaling_server() as server, SignalingClient(request(server.url)) as signaling:
        with pytest.raises(SignalingRefusedError, match="the phone is not here") as caught:
            raise await error_of(signaling)
    assert caught.value.code == 404


async def test_a_refusal_by_middleware_is_an_error_with_its_text(start_signaling_server: StartServer) -> None:
    async with (
        start_signaling_server(refuse="no such box") as server,
        SignalingClient(request(server.url)) as signaling,
    ):
        with pytest.raises(SignalingRefusedError, match="no such box"):
            raise await error_of(signaling)


@pytest.mark.parametrize("ending", ["disconnect", "close", "drop"])
async def test_a_conversation_that_the_server_ends_without_a_reason_is_closed(stage: Stage, ending: str) -> None:
    await stage.come_to_offer()
    await stage.server.tell(ending)
    error = await error_of(stage.signaling)
    assert type(error) is SignalingClosedError
    assert (error.code, error.retryable) == (None, True)


async def test_a_server_that_is_killed_is_a_closed_conversation(
    start_signaling_server: StartServer,
) -> None:
    async with start_signaling_server(silent_at="start") as server:
        signaling = await SignalingClient(request(server.url)).__aenter__()
        assert await next_event(signaling) == Authorized()
    try:
        assert type(await error_of(signaling)) is SignalingClosedError
    finally:
        await signaling.aclose()


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_an_http_refusal_of_the_upgrade_is_not_asked_for_twice(
    start_signaling_server: StartServer, status: int
) -> None:
    async with start_signaling_server(status=status) as server:
        with pytest.raises(SignalingUnreachableError, match=f"HTTP {status}") as caught:
            await SignalingClient(request(server.url)).__aenter__()
        assert caught.value.status == status
        await server.wait_for("upgrade")
        assert server.waiting_events() == []


async def test_an_http_failure_of_the_upgrade_is_tried_again_and_then_an_error(
    start_signaling_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_ATTEMPT_PAUSE_S", 0.01)
    async with start_signaling_server(status=503) as server:
        with pytest.raises(SignalingUnreachableError, match="HTTP 503") as caught:
            await SignalingClient(request(server.url)).__aenter__()
        assert caught.value.status == 503
        for _ in range(3):
            await server.wait_for("upgrade")
        assert server.waiting_events() == []


async def test_a_server_that_hangs_up_during_the_handshake_is_unreachable(start_signaling_server: StartServer) -> None:
    async with start_signaling_server() as server:
        # engine.io hangs up on an upgrade that is not for its path, without a status.
        with pytest.raises(SignalingUnreachableError, match="broke off"):
            await SignalingClient(request(f"{server.url}/elsewhere"), open_attempts=1).__aenter__()


async def test_a_port_at_which_nobody_listens_is_unreachable(
    start_signaling_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_ATTEMPT_PAUSE_S", 0.01)
    async with start_signaling_server() as server:
        url = server.url
    with pytest.raises(SignalingUnreachableError):
        await SignalingClient(request(url)).__aenter__()


@pytest.mark.parametrize("url", [f"http://{'a' * 70}.example", "http://a..b", "http://host:99999", "http://host:0"])
def test_a_url_that_no_server_can_have_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a signaling URL"):
        SignalingClient(request(url))


async def test_a_server_that_accepts_and_never_answers_the_upgrade_is_unreachable() -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.read()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        signaling = SignalingClient(request(f"http://{host}:{port}"), open_timeout_s=0.1, open_attempts=1)
        with pytest.raises(SignalingUnreachableError, match="no answer within"):
            await signaling.__aenter__()


@pytest.mark.parametrize("step", ["open", "connect", "authorize"])
async def test_silence_before_the_token_is_judged_is_a_time_out_of_that_step(
    start_signaling_server: StartServer, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(conversation, "HANDSHAKE_TIMEOUT_S", 1.0)
    async with start_signaling_server(silent_at=step) as server, SignalingClient(request(server.url)) as signaling:
        error = await error_of(signaling)
    assert isinstance(error, SignalingTimeoutError)
    assert (error.step, error.retryable) == (step, True)


async def test_silence_after_start_is_a_time_out_of_that_step(
    start_signaling_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "START_TIMEOUT_S", 0.2)
    async with start_signaling_server(silent_at="start") as server, SignalingClient(request(server.url)) as signaling:
        error = await error_of(signaling)
    assert isinstance(error, SignalingTimeoutError)
    assert error.step == "start"


async def test_silence_of_the_phone_is_a_time_out_of_the_offer(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "OFFER_TIMEOUT_S", 0.2)
    error = await error_of(stage.signaling)
    assert isinstance(error, SignalingTimeoutError)
    assert error.step == "offer"


async def test_a_server_that_stops_answering_pings_is_noticed(pinging_stage: Stage) -> None:
    await pinging_stage.come_to_offer()
    await pinging_stage.server.wait_for("ping", is_ours)
    await pinging_stage.server.tell("fault", "silent_at", "pong")
    error = await error_of(pinging_stage.signaling)
    assert isinstance(error, SignalingTimeoutError)
    assert error.step == "pong"


async def test_a_client_that_stays_silent_is_still_connected_after_three_times_the_ping_time(
    pinging_stage: Stage,
) -> None:
    await pinging_stage.come_to_offer()
    for _ in range(3 * (PING_INTERVAL_MS + PING_TIMEOUT_MS) // PING_INTERVAL_MS + 1):
        await pinging_stage.server.wait_for("ping", is_ours)
    await pinging_stage.phone.send("offer", payload={"type": "offer", "sdp": "still here"})
    assert await next_event(pinging_stage.signaling) == Offer("still here")


async def test_a_client_that_sends_no_pings_is_dropped_by_this_server(start_signaling_server: StartServer) -> None:
    # What makes the test before this one mean something.
    async with (
        start_signaling_server(pingInterval=PING_INTERVAL_MS, pingTimeout=PING_TIMEOUT_MS) as server,
        connect(websocket_url(request(server.url)).reveal()),
    ):
        assert (await server.wait_for("gone"))["reason"] == "ping timeout"


async def test_a_message_over_the_limit_ends_the_conversation(stage: Stage) -> None:
    await stage.come_to_offer()
    await stage.server.tell("emit", "providerUpdate", "x" * (MESSAGE_LIMIT + 1))
    assert type(await error_of(stage.signaling)) is SignalingProtocolError


async def test_more_events_than_may_wait_end_the_conversation_after_those_that_came(
    start_signaling_server: StartServer, start_socketio_client: StartClient
) -> None:
    soon: dict[str, Any] = {
        "pingInterval": PING_INTERVAL_MS,
        "pingTimeout": 10 * PING_TIMEOUT_MS,
    }  # after that the client is gone
    async with staged(start_signaling_server, start_socketio_client, codes={TOKEN: 0}, **soon) as stage:
        for _ in range(EVENTS_LIMIT + 1):
            await stage.server.tell("emit", "message", BARE_CANDIDATE)
        await stage.server.wait_for("gone", is_ours)
        for _ in range(EVENTS_LIMIT):
            await next_event(stage.signaling)
        with pytest.raises(SignalingProtocolError, match=str(EVENTS_LIMIT)):
            raise await error_of(stage.signaling)


async def test_closing_the_client_ends_the_iteration_and_the_connection(stage: Stage) -> None:
    await stage.come_to_offer()
    waiting = asyncio.ensure_future(anext(stage.signaling))
    await asyncio.sleep(0)
    await stage.signaling.aclose()
    with pytest.raises(StopAsyncIteration):
        await waiting
    await stage.server.wait_for("disconnect")


async def test_the_token_is_in_no_log_and_in_no_error(
    start_signaling_server: StartServer,
    start_socketio_client: StartClient,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "_ATTEMPT_PAUSE_S", 0.01)
    caplog.set_level(logging.DEBUG)
    errors: list[BaseException] = []
    async with staged(start_signaling_server, start_socketio_client) as stage:
        await stage.come_to_offer()
        stage.signaling.send_answer("answer")
        await stage.server.tell("emit", "close", {"reason": "1402"})
        errors.append(await error_of(stage.signaling))
        assert TOKEN not in repr(vars(stage.signaling))
        url = stage.server.url
    options: tuple[dict[str, Any], ...] = ({"status": 403}, {"status": 503}, {"codes": {}}, {"refuse": "no"})
    for option in options:
        async with start_signaling_server(**option) as server:
            with pytest.raises(SignalingError) as caught:
                async with SignalingClient(request(server.url)) as signaling:
                    raise await error_of(signaling)
            errors.append(caught.value)
    with pytest.raises(SignalingError) as caught:
        await SignalingClient(request(url)).__aenter__()
    errors.append(caught.value)

    texts = [caplog.text, *(line for error in errors for line in traceback.format_exception(error)), *map(repr, errors)]
    for form in (TOKEN, "device-token"):  # as it is, and what percent-encoding leaves of it
        assert not [text for text in texts if form in text]
