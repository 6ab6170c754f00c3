"""What the vendor's replies say, as plain objects (reply → Ticket, Progress)."""

from dataclasses import dataclass, field
from typing import Final

from streamer.audio_ports import AudioPort, AudioPorts
from streamer.cloud.error_codes import meaning_of
from streamer.cloud.fields import Fields, malformed, read_fields
from streamer.errors import CloudRefusalError, CloudReplyError, CredentialsError
from streamer.protocol_constants import (
    API_SUCCESS,
    PREPARE_READY,
    PROGRESS_BACKING_UP,
    PROGRESS_FAILED,
    PROGRESS_QUEUING,
    PROGRESS_RESTORING,
)
from streamer.secret import Secret
from streamer.untrusted_text import UnreadableJsonError, UntrustedText, parse_url, without_secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """All that one attempt to reach a phone needs. The device token lives some 15 seconds [seen]: use it at once."""

    instance_id: str
    device_id: str
    device_token: Secret
    signaling_url: str = field(repr=False)  # may hold a user, a password or a token
    streaming_id: str | None = None
    expires_in_s: float | None = None  # how long the stream may last [doc]
    ice_servers: tuple[object, ...] = field(default=(), repr=False)  # as they came; may hold TURN passwords
    audio_ports: AudioPorts = field(default_factory=AudioPorts)
    problems: tuple[str, ...] = ()  # a sentence for each optional field that could not be understood


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an instance is with getting ready; `waiting_count` is the vendor's number [doc]."""

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

_SIGNALING_URL: Final = "data.resource.rtc.ice_signaling.signaling_url"
_SIGNALING_SCHEMES: Final = {"http", "https", "ws", "wss"}


def check_reply(body: bytes, *, status: int, request_id: str, hidden: str | None = None) -> None:
    """Raise the error that a reply stands for, if it is not a success.

    HTTP 200 with a code other than "0" is a refusal, like any HTTP error [doc]. A reply without a code and with a good
    HTTP status counts as a success [assumed]. `hidden` is our secret, which no error shows even if the server says it.

    Raises CloudRefusalError, CredentialsError or CloudReplyError.
    """
    where = f"HTTP {status}, request {request_id}"
    try:
        verdict = read_fields(body, [])
    except UnreadableJsonError as error:
        if status in {401, 403}:
            raise _refusal(None, None, status, where) from error
        kind = "nothing" if not body.strip() else "HTML" if body.lstrip()[:1] == b"<" else "something else"
        raise CloudReplyError(
            f"expected a JSON object from the API, got {kind} ({where}): check the endpoint", status=status
        ) from error
    code = verdict.text("error_code")
    if code in {None, API_SUCCESS} and status < 400:
        return
    raise _refusal(_shown(code, 80, hidden), _shown(verdict.text("error_msg"), 300, hidden), status, where)


def parse_ticket(body: bytes, instance_id: str, *, status: int) -> Ticket:
    """Return what a successful auth reply says.

    Only the device token, the device id and the signaling URL are needed. Any other field may have any form.

    Raises CloudReplyError, which names the JSON path at fault.
    """
    problems: list[str] = []
    nothing = Fields({}, "", problems)
    try:
        reply = read_fields(body, problems)
    except UnreadableJsonError as error:
        raise malformed("auth", status, error) from error
    data = reply.level("data") or nothing
    resource = data.level("resource") or nothing
    rtc = resource.level("rtc") or nothing
    signaling = rtc.level("ice_signaling") or rtc  # older pages list the fields there, without the level below [doc]
    needed = {
        "data.device_token": data.text("device_token"),
        "data.resource.device_id": resource.text("device_id"),
        _SIGNALING_URL: signaling.text("signaling_url"),
    }
    for path, value in needed.items():
        if not value:
            raise CloudReplyError(
                f"the auth reply has no {path} (HTTP {status}): this instance may not support streaming",
                status=status,
                path=path,
            )
    device_token, device_id, signaling_url = (value or "" for value in needed.values())
    url = parse_url(signaling_url, _SIGNALING_SCHEMES)
    if url is None:
        raise CloudReplyError(
            f"expected a URL with http or https at {_SIGNALING_URL} of the auth reply, "
            f"got '{without_secrets(signaling_url)}' (HTTP {status})",
            status=status,
            path=_SIGNALING_URL,
        )
    sdk = resource.level("sdk") or nothing
    return Ticket(
        instance_id=instance_id,
        device_id=device_id,
        device_token=Secret(device_token),
        signaling_url=url.geturl(),
        streaming_id=data.text("streamingId"),
        expires_in_s=signaling.number("expired_time"),
        ice_servers=tuple(signaling.entries("ice_servers")),
        audio_ports=AudioPorts(internal=_port(sdk.level("internal")), external=_port(sdk.level("external"))),
        problems=tuple(problems),
    )


def parse_prepared(body: bytes, instance_id: str, *, status: int) -> bool:
    """Return whether the reply to prepare says that the instance is ready. Raises CloudReplyError."""
    problems: list[str] = []
    try:
        data = read_fields(body, problems).level("data")
    except UnreadableJsonError as error:
        raise malformed("prepare", status, error) from error
    entries = data.entries("status_list") if data else []  # the names are those of the vendor's Java SDK [doc]
    states = [Fields(entry, "data.status_list[]", problems) for entry in entries if isinstance(entry, dict)]
    return any(state.text("instance_id") == instance_id and state.number("status") == PREPARE_READY for state in states)


def parse_progress(body: bytes, *, status: int) -> Progress:
    """Return what the reply to prepare-progress says. Raises CloudReplyError."""
    problems: list[str] = []
    try:
        data = read_fields(body, problems).level("data") or Fields({}, "data", problems)
    except UnreadableJsonError as error:
        raise malformed("prepare-progress", status, error) from error
    code, waiting = data.number("status"), data.number("waitingCount")
    if code is None:
        raise CloudReplyError(
            f"the prepare-progress reply has no data.status (HTTP {status})", status=status, path="data.status"
        )
    return Progress(status=int(code), waiting_count=None if waiting is None else int(waiting))


def _shown(text: str | None, limit: int, hidden: str | None) -> str | None:
    """Return a short, printable form of what the server said, without our secret."""
    if not text:
        return None
    return str(UntrustedText(text.replace(hidden, "***") if hidden else text, limit))


def _refusal(code: str | None, said: str | None, status: int, where: str) -> CloudRefusalError:
    meaning = meaning_of(code) if code else None
    text = f"the API refused: {meaning.text if meaning else said or 'no reason given'} (code {code or 'none'}, {where})"
    if meaning and said:
        text += f": {said}"
    is_about_credentials = status == 401 or (status != 429 and (code or "").upper().startswith("APIGW.03"))
    remedy = "check the tenant's credentials" if is_about_credentials else meaning.remedy if meaning else ""
    if remedy:
        text += f"; {remedy}"
    return (CredentialsError if is_about_credentials else CloudRefusalError)(
        text,
        status=status,
        error_code=code,
        error_msg=said,
        meaning=meaning.text if meaning else None,
        retryable=meaning.retryable if meaning else status == 429 or status >= 500,
    )


def _port(port: Fields | None) -> AudioPort | None:
    if port is None:
        return None
    number, kind = port.number("aport"), port.number("atype")
    found = AudioPort(
        address=port.text("address"),
        port=None if number is None else int(number),
        type=None if kind is None else int(kind),
        address_ipv6=port.text("address_ipv6"),
    )
    return None if found == AudioPort(address=None, port=None, type=None) else found
