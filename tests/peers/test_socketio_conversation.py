"""Our client against the npm socket.io server, with the npm socket.io-client as the phone's side: the messages."""

import base64
import json

from streamer.signaling.client import SignalingClient
from streamer.signaling.messages import Authorized, Offer, RemoteCandidate, Started
from tests.support.conversations import INIT
from tests.support.peers.npm import StartClient, StartServer
from tests.support.peers.socketio_stage import (
    BARE_CANDIDATE,
    CANDIDATE,
    DEVICE_ID,
    SDP,
    TOKEN,
    Stage,
    next_event,
    request,
    staged,
)


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
    assert init == INIT | {"sessionid": TOKEN}


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


async def test_base64_data_is_read_like_payload(stage: Stage) -> None:
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


async def test_binary_attachments_replace_their_placeholders(stage: Stage) -> None:
    await stage.come_to_init()
    data = base64.b64encode(json.dumps({"type": "offer", "sdp": SDP}).encode())
    first, second, third = ({"$base64": base64.b64encode(part).decode()} for part in (b"\x04one", b"", data))
    await stage.phone.send("offer", others=[first, second], data=third)
    assert await next_event(stage.signaling) == Offer(SDP)


async def test_an_event_that_requests_an_acknowledgement_is_read_and_gets_none(stage: Stage) -> None:
    await stage.come_to_offer()
    await stage.server.tell("emitForAcknowledgement", "message", BARE_CANDIDATE)
    assert await next_event(stage.signaling) == RemoteCandidate(CANDIDATE, None, None)
    stage.signaling.send_answer("after it")
    answer = await stage.server.wait_for("message")
    while answer["type"] != "answer":
        answer = await stage.server.wait_for("message")


async def test_events_of_another_namespace_are_ignored(stage: Stage) -> None:
    await stage.come_to_offer()
    await stage.server.tell("emitIn", "/other", "close", {"reason": "1402"})
    await stage.server.tell("emit", "message", BARE_CANDIDATE)
    assert await next_event(stage.signaling) == RemoteCandidate(CANDIDATE, None, None)
