"""What may come over the network, given to each parser that sees it.

The law of all targets: any bytes give events, units or the documented error, within the documented bounds. A target
takes bytes, and raises only if its parser breaks the law.
"""

from collections.abc import Callable
from typing import Final

from tests.fuzz import targets_cloud as cloud
from tests.fuzz import targets_connection as connection
from tests.fuzz import targets_emulator as emulator
from tests.fuzz import targets_media as media
from tests.fuzz import targets_signaling as signaling
from tests.fuzz.inputs import VIDEO_CODECS

TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "engineio": signaling.engine_io,
    "socketio": signaling.socket_io,
    "conversation": signaling.conversation,
    "sdp": connection.sdp,
    "offer": connection.offer,
    "stun": connection.stun,
    "turn": connection.turn,
    "data_channels": connection.data_channels,
    "phone_messages": connection.phone_messages,
    "candidate": connection.ice_candidate,
    "ice_servers": cloud.ice_servers,
    "http_body": cloud.http_body,
    "auth_reply": cloud.auth_reply,
    "api_reply": cloud.api_reply,
    "untrusted_text": cloud.untrusted_text,
    "phone_input": emulator.phone_input,
    "phone_answer": connection.phone_answer,
    "rtp": media.rtp,
    "rtcp": media.rtcp,
    **{codec: media.depacketizer_of(codec) for codec in VIDEO_CODECS},
    "parameter_sets": media.parameter_sets,
    "receiver": media.receiver,
    "recording": media.recording,
}
