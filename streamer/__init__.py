"""A Huawei KooPhone cloud phone's screen in your program.

async with streamer.connect("Q39YyZvI", endpoint=..., credentials=streamer.Token("...")) as phone:
    async for frame in phone:
        frame.to_ndarray("bgr24")

The names are imported with the first use of any: it takes half a second, in which the command line is to be interrupted
without a close code. A program that cannot wait in its event loop says `from streamer import connect`.
"""

TYPE_CHECKING = False  # as type checkers know it; importing typing takes longer than all else that is done here
if TYPE_CHECKING:
    from streamer.actions import Action
    from streamer.audio_ports import AudioPort, AudioPorts
    from streamer.cloud.credentials import (
        AccessKey,
        Credentials,
        Password,
        Token,
        TokenFile,
        TokenProvider,
        credentials_from_environment,
    )
    from streamer.cloud.fleet import Cloud
    from streamer.cloud.phone import AnimationsOff, Apps, CloudPhone
    from streamer.cloud.results import App, InstanceInfo, InstanceStatus, Job, ShellResult
    from streamer.connecting import Connecting, connect
    from streamer.errors import (
        ActionLostError,
        CloudError,
        CloudRefusalError,
        CloudReplyError,
        CloudUnclearError,
        CloudUnreachableError,
        ConfigurationError,
        ConnectionFailedError,
        ConnectionLostError,
        CredentialsError,
        DeviceTokenError,
        ExpectationError,
        FramesOverflowError,
        IncompatibleLibraryError,
        InputNotReadyError,
        JobFailedError,
        MissingExtraError,
        RecordingError,
        SeveralMatchesError,
        SignalingClosedError,
        SignalingError,
        SignalingProtocolError,
        SignalingRefusedError,
        SignalingTimeoutError,
        SignalingUnreachableError,
        StreamerError,
        TakenOverError,
        TypingError,
        WaitTimeoutError,
    )
    from streamer.events import Event, EventIterator
    from streamer.expectations import PhoneExpectation, TargetExpectation, expect
    from streamer.input_driver import MessageIterator
    from streamer.looking_back import Seen
    from streamer.media.access_unit import AccessUnit
    from streamer.media.playback.audio_frames import AudioFrame, AudioIterator
    from streamer.media.playback.encoded import AccessUnitIterator
    from streamer.media.playback.video_frames import FrameIterator, VideoFrame
    from streamer.media.recording.clips import clip
    from streamer.media.recording.recording import Recording
    from streamer.media.recording.segments import Segment
    from streamer.media.recording.transcode import Transcode
    from streamer.retry_policy import Reconnect
    from streamer.secret import Secret
    from streamer.session import Session
    from streamer.stats import Stats
    from streamer.target import Target
    from streamer.targets.matches import Match
    from streamer.targets.reading import ReadText, TextLine
    from streamer.verbs import Finger
    from streamer.viewing import Viewer
    from streamer.waiting import Change, Settled
    from streamer.watch.region import Region

    __version__: str

__all__ = [
    "AccessKey",
    "AccessUnit",
    "AccessUnitIterator",
    "Action",
    "ActionLostError",
    "AnimationsOff",
    "App",
    "Apps",
    "AudioFrame",
    "AudioIterator",
    "AudioPort",
    "AudioPorts",
    "Change",
    "Cloud",
    "CloudError",
    "CloudPhone",
    "CloudRefusalError",
    "CloudReplyError",
    "CloudUnclearError",
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
    "ExpectationError",
    "Finger",
    "FrameIterator",
    "FramesOverflowError",
    "IncompatibleLibraryError",
    "InputNotReadyError",
    "InstanceInfo",
    "InstanceStatus",
    "Job",
    "JobFailedError",
    "Match",
    "MessageIterator",
    "MissingExtraError",
    "Password",
    "PhoneExpectation",
    "ReadText",
    "Reconnect",
    "Recording",
    "RecordingError",
    "Region",
    "Secret",
    "Seen",
    "Segment",
    "Session",
    "Settled",
    "SeveralMatchesError",
    "ShellResult",
    "SignalingClosedError",
    "SignalingError",
    "SignalingProtocolError",
    "SignalingRefusedError",
    "SignalingTimeoutError",
    "SignalingUnreachableError",
    "Stats",
    "StreamerError",
    "TakenOverError",
    "Target",
    "TargetExpectation",
    "TextLine",
    "Token",
    "TokenFile",
    "TokenProvider",
    "Transcode",
    "TypingError",
    "VideoFrame",
    "Viewer",
    "WaitTimeoutError",
    "clip",
    "connect",
    "credentials_from_environment",
    "expect",
]

_HOMES = (
    "streamer.actions",
    "streamer.cloud.credentials",
    "streamer.cloud.fleet",
    "streamer.cloud.phone",
    "streamer.cloud.results",
    "streamer.connecting",
    "streamer.errors",
    "streamer.events",
    "streamer.expectations",
    "streamer.input_driver",
    "streamer.looking_back",
    "streamer.media.access_unit",
    "streamer.media.playback.audio_frames",
    "streamer.media.playback.encoded",
    "streamer.media.recording.clips",
    "streamer.media.playback.video_frames",
    "streamer.media.recording.recording",
    "streamer.media.recording.segments",
    "streamer.media.recording.transcode",
    "streamer.audio_ports",
    "streamer.retry_policy",
    "streamer.secret",
    "streamer.session",
    "streamer.stats",
    "streamer.target",
    "streamer.targets.matches",
    "streamer.targets.reading",
    "streamer.verbs",
    "streamer.viewing",
    "streamer.waiting",
    "streamer.watch.region",
)

if not TYPE_CHECKING:  # else nothing would be unknown to a type checker

    def __getattr__(name: str) -> object:
        """Import all names with the first of them; a module, such as `streamer.errors`, alone."""
        import importlib  # noqa: PLC0415 - see above

        if name == "__version__":
            import importlib.metadata  # noqa: PLC0415 - see above

            return importlib.metadata.version("koophone-streamer")
        if name in __all__:
            for home in _HOMES:
                globals().update(
                    {key: value for key, value in vars(importlib.import_module(home)).items() if key in __all__}
                )
            return globals()[name]
        if not name.startswith("_"):
            try:
                return importlib.import_module(f"{__name__}.{name}")
            except ModuleNotFoundError as error:
                if error.name != f"{__name__}.{name}":
                    raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return __all__
