"""Every error this package raises on purpose, one tree:

    StreamerError
    ├── ConfigurationError        an argument or a setting is wrong: nothing was sent
    │   ├── MissingExtraError     the feature needs an extra that is not installed
    │   └── TypingError           keys cannot type the text: nothing was typed
    ├── CloudError                the vendor's HTTP API
    │   ├── CloudUnreachableError     no usable HTTP answer came (DNS, TCP, TLS, time-out)
    │   ├── CloudReplyError           an answer came, and it cannot be understood
    │   ├── CloudRefusalError         the API answered no, with a code
    │   │   └── CredentialsError          the tenant's token, password or keys were not accepted
    │   ├── CloudUnclearError         a call that changes something may have been carried out, or not
    │   └── JobFailedError            a command, an installation or a reset was carried out, and failed
    ├── SignalingError            the Socket.IO conversation
    │   ├── SignalingUnreachableError the WebSocket could not be opened
    │   ├── SignalingTimeoutError     a step of the conversation had no answer in time
    │   ├── SignalingRefusedError     the server said no
    │   │   └── DeviceTokenError          the device token is invalid or has expired
    │   ├── SignalingClosedError      the conversation was ended by the other side, or the link broke
    │   │   └── TakenOverError            another device took the phone over
    │   └── SignalingProtocolError    the server broke the protocol or a limit
    ├── ConnectionFailedError     WebRTC: negotiation, ICE or DTLS did not succeed
    ├── ConnectionLostError       WebRTC: an established connection went away
    ├── InputNotReadyError        the phone cannot be acted on yet: nothing was sent
    ├── ActionLostError           the connection went away during an action
    ├── WaitTimeoutError          what was waited for on the screen did not come in time
    │   └── ExpectationError      a test expected it: an AssertionError, too
    ├── SeveralMatchesError       a target is on the screen more than once
    ├── FramesOverflowError       a consumer that wants every frame fell too far behind
    ├── RecordingError            a recording could not be started or continued
    └── IncompatibleLibraryError  an installed library is not one this package was made for

Each class says by `retryable` whether the same call may succeed later without anything being changed; an instance
may know better than its class. Facts are attributes; no secret is ever among them.
"""

import copyreg
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for the types of facts alone: this module is below all others
    from pathlib import Path

    from streamer.media.playback.video_frames import VideoFrame
    from streamer.targets.matches import Match
    from streamer.watch.region import Region


class StreamerError(Exception):
    """The root of the tree: everything this package raises on purpose."""

    retryable: bool = False  # whether the same call may succeed later without a change

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments break the default way of pickling exceptions, and errors cross processes.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class ConfigurationError(StreamerError, ValueError):
    """An argument or a setting is wrong; nothing was sent."""


class MissingExtraError(ConfigurationError):
    """A feature needs an extra that is not installed; `extra` names it."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra {extra!r}: pip install 'koophone-streamer[{extra}]'")
        self.extra = extra


class TypingError(ConfigurationError):
    """Keys cannot type the whole text; nothing was typed. The message says where, and never what."""


class CloudError(StreamerError):
    """The vendor's HTTP API failed, or refused."""


class CloudUnreachableError(CloudError):
    """No usable HTTP answer came: DNS, TCP, TLS or a time-out. `__cause__` is the transport's own error.

    `was_sent` is False if no part of the request left, so that nothing can have happened.
    """

    retryable = True

    def __init__(self, message: str, *, was_sent: bool = True) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class CloudReplyError(CloudError):
    """An answer came that cannot be understood; `status` is its HTTP status, `path` the JSON path at fault, if any."""

    def __init__(self, message: str, *, status: int, path: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.path = path
        self.retryable = status == 429 or status >= 500


class CloudRefusalError(CloudError):
    """The API answered no.

    `status` is the HTTP status, `error_code` and `error_msg` are as they came, `meaning` is the vendor's table's word
    for the code.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        error_code: str | None,
        error_msg: str | None = None,
        meaning: str | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.error_msg = error_msg
        self.meaning = meaning
        self.retryable = retryable


class CredentialsError(CloudRefusalError):
    """The tenant's token, password or keys were not accepted."""


class CloudUnclearError(CloudError):
    """A call that changes something had no clear answer: it may have been carried out, or not. It is not repeated.

    Look at the phone before you repeat it. `__cause__` is what went wrong, if something did. `task_id` is the vendor's
    id of a task that was begun; `Cloud.task` tells how far it is.
    """

    def __init__(self, message: str, *, task_id: str | None = None) -> None:
        super().__init__(message)
        self.task_id = task_id


class JobFailedError(CloudError):
    """A command, an installation or a reset was carried out, and failed.

    `error_code` and `error_msg` are the vendor's, in escaped form. `output` is what a command has printed, as it came.
    """

    def __init__(
        self, message: str, *, error_code: str | None = None, error_msg: str | None = None, output: str = ""
    ) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.error_msg = error_msg
        self.output = output


class SignalingError(StreamerError):
    """The Socket.IO conversation failed."""


class SignalingUnreachableError(SignalingError):
    """The WebSocket could not be opened; `status` is the HTTP status if the server answered the upgrade with one."""

    retryable = True

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class SignalingTimeoutError(SignalingError):
    """A step had no answer in time; `step` is one of "open", "connect", "authorize", "start", "offer", "pong".

    The step "send" means that the server did not read what was sent to it.
    """

    retryable = True

    def __init__(self, message: str, *, step: str) -> None:
        super().__init__(message)
        self.step = step


class SignalingRefusedError(SignalingError):
    """The server refused; `code` is its number, if it gave one. No source documents what these codes mean.

    A refused start may succeed later, when the phone is online again, or no longer serves another client.
    """

    def __init__(self, message: str, *, code: int | None = None, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.code = code
        if retryable is not None:
            self.retryable = retryable


class DeviceTokenError(SignalingRefusedError):
    """The device token is invalid or has expired: a new one has to be fetched."""

    retryable = True


class SignalingClosedError(SignalingError):
    """The other side ended the conversation, or the link broke; `code` is the close reason's number, if any.

    `by_phone` says that the phone ended the stream with a close event. Otherwise only the signaling connection is gone.
    """

    def __init__(
        self, message: str, *, code: int | None = None, retryable: bool = True, by_phone: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.by_phone = by_phone


class TakenOverError(SignalingClosedError):
    """Another device took the phone over (close code 1402). Never retried: two clients would fight for it."""

    def __init__(self, message: str, *, code: int | None = 1402) -> None:
        super().__init__(message, code=code, retryable=False, by_phone=True)


class SignalingProtocolError(SignalingError):
    """The server sent what the protocol does not allow, or more than a limit allows."""

    retryable = True


class ConnectionFailedError(StreamerError):
    """WebRTC could not be set up; `stage` is "negotiation", "ice", "dtls" or "media"."""

    retryable = True

    def __init__(self, message: str, *, stage: str) -> None:
        super().__init__(message)
        self.stage = stage


class ConnectionLostError(StreamerError):
    """An established WebRTC connection went away."""

    retryable = True


class InputNotReadyError(StreamerError):
    """No data channel for input opened in time, or the stream is interrupted; nothing was sent."""

    retryable = True


class ActionLostError(StreamerError):
    """The connection went away, or takes no more, during an action. It is never sent again by itself.

    `was_sent` is False if nothing of it left this machine, True if the phone acknowledged how it began, and None if it
    is not known how much arrived. A finger that was down is lifted first on the next connection.
    """

    def __init__(self, message: str, *, was_sent: bool | None) -> None:
        super().__init__(message)
        self.was_sent = was_sent
        self.retryable = was_sent is False


class WaitTimeoutError(StreamerError, TimeoutError):
    """What was waited for did not come in time. The error is the evidence of what was there instead.

    A copy of it in another process, by `pickle`, has no frame, and its `best` has None for it.

    Attributes:
        waited_for: What was waited for, in words.
        waited_s: For how long, in seconds.
        frame: The last frame that came, as a VideoFrame; None if none did.
        moving: The regions that had not come to rest, in pixels, largest first; empty for other waits.
        best: What came nearest to a target, as a Match; None for other waits, and if nothing came near.
        nearby: Texts that were read instead of a target's; empty for other waits.
    """

    retryable = True

    def __init__(
        self,
        message: str,
        *,
        waited_for: str,
        waited_s: float,
        frame: "VideoFrame | None" = None,
        moving: "tuple[Region, ...]" = (),
        best: "Match | None" = None,
        nearby: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.waited_for = waited_for
        self.waited_s = waited_s
        self.frame = frame
        self.moving = moving
        self.best = best
        self.nearby = nearby

    def __reduce__(self) -> tuple[object, ...]:
        # A frame belongs to its process. An OSError, which TimeoutError is, takes its arguments by `__init__` alone.
        best = self.best and replace(self.best, frame=None)  # type: ignore[arg-type]
        return (*super().__reduce__()[:2], {**self.__dict__, "frame": None, "best": best, "args": self.args})


class ExpectationError(WaitTimeoutError, AssertionError):
    """What a test expected of the screen (`expect`) did not come true in time.

    Attributes:
        difference: How much of the screen differs from a golden image, as a share from 0.0 to 1.0; None if nothing was
            compared.
        files: The images that show the difference: the screen, and what differs.
    """

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        waited_for: str,
        waited_s: float,
        frame: "VideoFrame | None" = None,
        moving: "tuple[Region, ...]" = (),
        best: "Match | None" = None,
        nearby: tuple[str, ...] = (),
        difference: float | None = None,
        files: "tuple[Path, ...]" = (),
    ) -> None:
        super().__init__(
            message, waited_for=waited_for, waited_s=waited_s, frame=frame, moving=moving, best=best, nearby=nearby
        )
        self.difference = difference
        self.files = files


class SeveralMatchesError(StreamerError):
    """A target is on the screen more than once. Say which one is meant: `first`, `last`, `nth` or `within`.

    A copy of it in another process, by `pickle`, has no frames: its matches have None for them.

    Attributes:
        matches: Every place, as a Match, from top to bottom and from left to right.
    """

    def __init__(self, message: str, *, matches: "tuple[Match, ...]") -> None:
        super().__init__(message)
        self.matches = matches

    def __reduce__(self) -> tuple[object, ...]:
        matches = tuple(replace(match, frame=None) for match in self.matches)  # type: ignore[arg-type]
        return (*super().__reduce__()[:2], {**self.__dict__, "matches": matches})


class FramesOverflowError(StreamerError):
    """A consumer that asked for every frame fell behind by more than its bound, `limit` frames."""

    def __init__(self, message: str, *, limit: int) -> None:
        super().__init__(message)
        self.limit = limit


class RecordingError(StreamerError):
    """A recording could not be started or continued; what was written before is kept and playable.

    `reason` is "begin" (the file exists, or cannot be created), "empty" (no frame came, and there is no file), "codec"
    (this kind of file cannot hold what the phone sends), "disk-full" (there is no room), "write" (another error of
    writing), "encode" (encoding with `transcode` failed), "read" (a file to clip cannot be read) or "stalled" (the
    disk, or who reads the pipe, takes no more).
    """

    def __init__(self, message: str, *, reason: str = "write") -> None:
        super().__init__(message)
        self.reason = reason


class IncompatibleLibraryError(StreamerError):
    """An installed library is not one this package was made for; the message names the range to install."""
