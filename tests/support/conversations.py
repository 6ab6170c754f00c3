"""The frames of a conversation, and a conversation at any step of its way."""

import base64
import json
from typing import Any, Final

from streamer.secret import Secret
from streamer.signaling.conversation import (
    HANDSHAKE_TIMEOUT_S,
    OFFER_TIMEOUT_S,
    START_TIMEOUT_S,
    Conversation,
)
from streamer.signaling.messages import RemoteCandidate, SignalingRequest

TOKEN: Final = "ab+/cd=="  # which a URL carries in another form
REQUEST: Final = SignalingRequest(
    signaling_url="http://host",
    device_id="box",
    device_token=Secret(TOKEN),
    streaming_id="stream-1",
    client_uuid="uuid-1",
    times=2,
    volume=40,
)
INIT: Final = {
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
}  # what the client says of itself, unless the server echoes another codec
INTERVAL_S: Final = 25.0
TIMEOUT_S: Final = 5.0
OPEN: Final = '0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":5000}'
STREAM_ID: Final = "phone-1"


def event(name: str, *arguments: Any) -> str:
    return "42" + json.dumps([name, *arguments])


def message(kind: str, **content: Any) -> str:
    return event("message", {"from": STREAM_ID, "type": kind, **content})


def to_base64(content: Any) -> str:
    return base64.b64encode(json.dumps(content).encode()).decode()


AUTHORIZED: Final = event("authorize", {"authorized": True, "code": 0})
STARTED: Final = event("start", {"streamId": STREAM_ID, "vcodec": "h264"})
OFFER: Final = message("offer", payload={"type": "offer", "sdp": "v=0"})
CANDIDATE: Final = message("candidate", payload={"candidate": "x"})
CAME: Final = RemoteCandidate("x", None, None)
WAY: Final = {"open": OPEN, "connect": "40", "authorize": AUTHORIZED, "start": STARTED, "offer": OFFER}
LIMITS_S: Final = {
    "open": HANDSHAKE_TIMEOUT_S,
    "connect": HANDSHAKE_TIMEOUT_S,
    "authorize": HANDSHAKE_TIMEOUT_S,
    "start": START_TIMEOUT_S,
    "offer": OFFER_TIMEOUT_S,
}


def conversation_at(step: str, now: float = 0.0) -> Conversation:
    """Return a conversation that waits for `step`; "close" is after the offer. Frames and events are taken out."""
    conversation = Conversation(REQUEST, now)
    for name, frame in WAY.items():
        if name == step:
            break
        conversation.receive(frame, now)
    conversation.events()
    conversation.frames_to_send()
    return conversation


def decoded(frames: list[str]) -> list[Any]:
    """Return the events of frames that hold nothing else."""
    assert all(frame.startswith("42[") for frame in frames)
    return [json.loads(frame[2:]) for frame in frames]
