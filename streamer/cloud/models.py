"""What the vendor's replies say, as plain objects (reply → Ticket, Progress)."""

import math
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from streamer.cloud.codes import meaning_of
from streamer.errors import CloudRefusalError, CloudReplyError, CredentialsError
from streamer.ports import AudioPort, AudioPorts
from streamer.secret import Secret
from streamer.wire import (
    API_SUCCESS,
    PREPARE_READY,
    PROGRESS_BACKING_UP,
    PROGRESS_FAILED,
    PROGRESS_QUEUING,
    PROGRESS_RESTORING,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """All that one attempt to reach a phone needs. The device token lives some 15 seconds [seen]: use it at once."""

    instance_id: str
    device_id: str
    device_token: Secret
    signaling_url: str
    streaming_id: str | None = None
    expires_in_s: float | None = None  # how long the stream may last [doc]
    ice_servers: tuple[object, ...] = field(default=(), repr=False)  # as they came; may hold TURN passwords
    audio_ports: AudioPorts = field(default_factory=AudioPorts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an instance is with getting ready; `waiting_count` is the vendor's number, as it came [doc]."""

    status: int
    waiting_count: int | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it can stream now."""
        return self.status == PREPARE_READY

    @property
    def has_failed(self) -> bool:
        """Whether it will not get ready."""
        return self.status == PROGRESS_FAILED

    def __str__(self) -> str:
        text = _PROGRESS.get(self.status, f"status {self.status}")
        return text if self.waiting_count is None else f"{text}, waiting count {self.waiting_count}"


_PROGRESS: Final = {
    PREPARE_READY: "ready",
    PROGRESS_QUEUING: "queuing",
    PROGRESS_RESTORING: "being restored, or offline",
    PROGRESS_BACKING_UP: "being backed up",
    PROGRESS_FAILED: "failed",
}


# The reply's own shapes. Every leaf is nullable, and numbers are sometimes strings [doc]; unknown fields pass.


class _Port(msgspec.Struct):
    address: str | None = None
    aport: int | str | None = None
    atype: int | str | None = None
    address_ipv6: str | None = None


class _Sdk(msgspec.Struct):
    internal: _Port | None = None
    external: _Port | None = None


class _IceSignaling(msgspec.Struct):
    signaling_url: str | None = None
    expired_time: int | float | str | None = None
    ice_servers: list[Any] | None = None


class _Rtc(_IceSignaling):  # older pages list the fields here, without the level below [doc]
    ice_signaling: _IceSignaling | None = None


class _Resource(msgspec.Struct):
    device_id: str | None = None
    kp_id: str | None = None
    sdk: _Sdk | None = None
    rtc: _Rtc | None = None


class _Data(msgspec.Struct, rename={"streaming_id": "streamingId"}):
    device_token: str | None = None
    streaming_id: str | None = None
    resource: _Resource | None = None


class _Reply(msgspec.Struct):
    data: _Data | None = None
    error_code: int | str | None = None
    error_msg: str | None = None


class _Verdict(msgspec.Struct):
    """The part of any reply that says whether it is a success; read first, for a refusal may look like anything."""

    error_code: int | str | None = None
    error_msg: str | None = None


class _InstanceStatus(msgspec.Struct):
    instance_id: str | None = None
    status: int | str | None = None


class _Prepared(msgspec.Struct):  # the names are those of the vendor's Java SDK [doc]
    status_list: list[_InstanceStatus] | None = None


class _PrepareReply(msgspec.Struct):
    data: _Prepared | None = None


class _ProgressData(msgspec.Struct, rename={"waiting_count": "waitingCount"}):
    status: int | str | None = None
    waiting_count: int | str | None = None


class _ProgressReply(msgspec.Struct):
    data: _ProgressData | None = None


_decode_verdict: Final = msgspec.json.Decoder(_Verdict).decode
_decode_reply: Final = msgspec.json.Decoder(_Reply).decode
_decode_prepared: Final = msgspec.json.Decoder(_PrepareReply).decode
_decode_progress: Final = msgspec.json.Decoder(_ProgressReply).decode
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # the last: nested without end


def check_reply(body: bytes, *, status: int, request_id: str, hidden: str | None = None) -> None:
    """Raise the error that a reply stands for, if it is not a success.

    HTTP 200 with a code other than "0" is a refusal, like any HTTP error [doc]. A reply without a code and with a good
    HTTP status counts as a success [assumed]. `hidden` is our secret, which no error shows even if the server says it.

    Raises CloudRefusalError, CredentialsError or CloudReplyError.
    """
    where = f"HTTP {status}, request {request_id}"
    try:
        verdict = _decode_verdict(body)
    except _UNREADABLE as error:
        if status in {401, 403}:
            raise _refusal(None, None, status, where) from error
        kind = "nothing" if not body.strip() else "HTML" if body.lstrip()[:1] == b"<" else "something else"
        raise CloudReplyError(
            f"expected a JSON object from the API, got {kind} ({where}): check the endpoint", status=status
        ) from error
    code = None if verdict.error_code is None else str(verdict.error_code)
    if code in {None, API_SUCCESS} and status < 400:
        return
    raise _refusal(_shown(code, 80, hidden), _shown(verdict.error_msg, 300, hidden), status, where)


def parse_ticket(body: bytes, instance_id: str, *, status: int) -> Ticket:
    """Return what a successful auth reply says. Raises CloudReplyError, which names the JSON path at fault."""
    try:
        reply = _decode_reply(body)
    except _UNREADABLE as error:
        path = str(error).partition("`$.")[2].removesuffix("`") or None
        raise CloudReplyError(
            f"the auth reply is not of the documented form (HTTP {status}): {error}", status=status, path=path
        ) from error
    data = reply.data or _Data()
    resource = data.resource or _Resource()
    rtc = resource.rtc or _Rtc()
    signaling = rtc.ice_signaling or rtc
    needed = {
        "data.device_token": data.device_token,
        "data.resource.device_id": resource.device_id,
        "data.resource.rtc.ice_signaling.signaling_url": signaling.signaling_url,
    }
    for path, value in needed.items():
        if not value:
            raise CloudReplyError(
                f"the auth reply has no {path} (HTTP {status}): this instance may not support streaming",
                status=status,
                path=path,
            )
    sdk = resource.sdk or _Sdk()
    return Ticket(
        instance_id=instance_id,
        device_id=resource.device_id or "",
        device_token=Secret(data.device_token or ""),
        signaling_url=signaling.signaling_url or "",
        streaming_id=data.streaming_id or None,
        expires_in_s=_number(signaling.expired_time, "data.resource.rtc.ice_signaling.expired_time", status),
        ice_servers=tuple(signaling.ice_servers or ()),
        audio_ports=AudioPorts(
            internal=_port(sdk.internal, "data.resource.sdk.internal", status),
            external=_port(sdk.external, "data.resource.sdk.external", status),
        ),
    )


def parse_prepared(body: bytes, instance_id: str, *, status: int) -> bool:
    """Return whether the reply to prepare says that the instance is ready. Raises CloudReplyError."""
    try:
        reply = _decode_prepared(body)
    except _UNREADABLE as error:
        raise _malformed("prepare", status, error) from error
    states = (reply.data.status_list if reply.data else None) or []
    return any(
        state.instance_id == instance_id and _number(state.status, "data.status_list[].status", status) == PREPARE_READY
        for state in states
    )


def parse_progress(body: bytes, *, status: int) -> Progress:
    """Return what the reply to prepare-progress says. Raises CloudReplyError."""
    try:
        data = _decode_progress(body).data or _ProgressData()
    except _UNREADABLE as error:
        raise _malformed("prepare-progress", status, error) from error
    code = _number(data.status, "data.status", status)
    if code is None:
        raise CloudReplyError(
            f"the prepare-progress reply has no data.status (HTTP {status})", status=status, path="data.status"
        )
    waiting = _number(data.waiting_count, "data.waitingCount", status)
    return Progress(status=int(code), waiting_count=None if waiting is None else int(waiting))


def _malformed(call: str, status: int, error: Exception) -> CloudReplyError:
    return CloudReplyError(f"the {call} reply is not of the documented form (HTTP {status}): {error}", status=status)


def _shown(text: str | None, limit: int, hidden: str | None) -> str | None:
    """Return a short, printable form of what the server said, without our secret."""
    if not text:
        return None
    if hidden:
        text = text.replace(hidden, "***")
    return "".join(character if character.isprintable() else "?" for character in text[:limit])


def _refusal(code: str | None, said: str | None, status: int, where: str) -> CloudRefusalError:
    meaning = meaning_of(code) if code else None
    text = f"the API refused: {meaning.text if meaning else said or 'no reason given'} (code {code or 'none'}, {where})"
    if meaning and said:
        text += f": {said}"
    is_about_credentials = status == 401 or (status != 429 and (code or "").upper().startswith("APIGW.03"))
    if is_about_credentials:
        text += "; check the tenant's credentials"
    return (CredentialsError if is_about_credentials else CloudRefusalError)(
        text,
        status=status,
        error_code=code,
        error_msg=said,
        meaning=meaning.text if meaning else None,
        retryable=meaning.retryable if meaning else status == 429 or status >= 500,
    )


def _port(port: _Port | None, path: str, status: int) -> AudioPort | None:
    if port is None or port == _Port():
        return None
    number, kind = _number(port.aport, f"{path}.aport", status), _number(port.atype, f"{path}.atype", status)
    return AudioPort(
        address=port.address or None,
        port=None if number is None else int(number),
        type=None if kind is None else int(kind),
        address_ipv6=port.address_ipv6 or None,
    )


def _number(value: float | str | None, path: str, status: int) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not abs(number) < 1e12:  # NaN and infinity too
        raise CloudReplyError(
            f"expected a number at {path} of the auth reply, got {str(value)[:40]!r} (HTTP {status})",
            status=status,
            path=path,
        )
    return number
