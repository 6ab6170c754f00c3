"""A Huawei KooPhone cloud phone's screen in your program.

async with streamer.connect("Q39YyZvI", endpoint=..., credentials=streamer.Token("...")) as phone:
    async for frame in phone:
        frame.to_ndarray("bgr24")
"""

from streamer.cloud.credentials import (
    AccessKey,
    Credentials,
    Password,
    Token,
    TokenProvider,
    credentials_from_environment,
)
from streamer.errors import (
    CloudError,
    CloudRefusalError,
    CloudReplyError,
    CloudUnreachableError,
    ConfigurationError,
    ConnectionFailedError,
    ConnectionLostError,
    CredentialsError,
    DeviceTokenError,
    FramesOverflowError,
    IncompatibleLibraryError,
    MissingExtraError,
    RecordingError,
    SignalingClosedError,
    SignalingError,
    SignalingProtocolError,
    SignalingRefusedError,
    SignalingTimeoutError,
    SignalingUnreachableError,
    StreamerError,
    TakenOverError,
)
from streamer.events import Event, EventIterator
from streamer.media.audio import AudioFrame, AudioIterator
from streamer.media.clips import clip
from streamer.media.frames import FrameIterator, VideoFrame
from streamer.media.mux import Recording
from streamer.media.transcode import Transcode
from streamer.ports import AudioPort, AudioPorts
from streamer.retry import Reconnect
from streamer.secret import Secret
from streamer.session import Connecting, Session, connect
from streamer.stats import Stats

__all__ = [
    "AccessKey",
    "AudioFrame",
    "AudioIterator",
    "AudioPort",
    "AudioPorts",
    "CloudError",
    "CloudRefusalError",
    "CloudReplyError",
    "CloudUnreachableError",
    "ConfigurationError",
    "Connecting",
    "ConnectionFailedError",
    "ConnectionLostError",
    "Credentials",
    "CredentialsError",
    "DeviceTokenError",
    "Event",
    "EventIterator",
    "FrameIterator",
    "FramesOverflowError",
    "IncompatibleLibraryError",
    "MissingExtraError",
    "Password",
    "Reconnect",
    "Recording",
    "RecordingError",
    "Secret",
    "Session",
    "SignalingClosedError",
    "SignalingError",
    "SignalingProtocolError",
    "SignalingRefusedError",
    "SignalingTimeoutError",
    "SignalingUnreachableError",
    "Stats",
    "StreamerError",
    "TakenOverError",
    "Token",
    "TokenProvider",
    "Transcode",
    "VideoFrame",
    "clip",
    "connect",
    "credentials_from_environment",
]
