"""What the embedded phone can be told to do wrong."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self, get_args, get_origin, get_type_hints

from streamer.errors import ConfigurationError

Step = Literal["open", "connect", "authorize", "start", "offer", "answer"]
"""The steps of the signaling at which a fault can strike: the last is the client's answer, the others are sent to it."""


def _fault(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(slots=True, kw_only=True)
class Faults:
    """Every fault that the embedded phone can show; all are off by default.

    The fields may be changed while the phone runs: each is looked at when its moment comes. `parse` reads them from
    words such as `no-pong` or `close-after-s=5`, and `describe` says what each does.
    """

    auth_error: str | None = _fault(
        None, "the auth API refuses: an error code and, after a colon, an HTTP status (KOOPHONE.API.9999:500)"
    )
    auth_body: Literal["html", "empty", "truncated"] | None = _fault(
        None, "the auth API answers with this instead of JSON: html, empty or truncated"
    )
    auth_omit: str | None = _fault(None, "the auth reply lacks this field (data.resource.device_id)")
    auth_silence: bool = _fault(False, "the auth API takes requests and never answers")
    flat_rtc: bool = _fault(False, "the auth reply is of the older shape: no ice_signaling level under rtc")
    upgrade_status: int | None = _fault(None, "the signaling refuses the WebSocket with this HTTP status")
    signaling_refused: str | None = _fault(None, "the signaling says 44 with this text, and no 40")
    device_token: Literal["invalid", "expired"] | None = _fault(
        None, "every device token is taken for this: invalid or expired"
    )
    start_refused: str | None = _fault(None, "start is refused: a number and, after a colon, a message (5:busy)")
    silent_at: Step | None = _fault(
        None, "nothing but pongs from this step on: open, connect, authorize, start, offer or answer (ignores it)"
    )
    disconnect_at: Step | None = _fault(None, "41 at this step, and then nothing but pongs")
    drop_at: Step | None = _fault(None, "the TCP connection of the WebSocket is cut at this step")
    no_pong: bool = _fault(False, "pings are not answered")
    close_after_s: float | None = _fault(None, "the close event comes so many seconds after the offer")
    close_reason: str = _fault("1402", "the reason in that close event")
    early_candidates: bool = _fault(False, "the candidates are sent before the offer, and are not in it")
    base64_data: bool = _fault(False, "messages carry base64 in `data` instead of `payload`")
    garbage_offer: bool = _fault(False, "the offer's SDP is no SDP")
    no_video: bool = _fault(False, "WebRTC connects, and no picture is ever sent")

    @classmethod
    def parse(cls, words: Iterable[str]) -> Self:
        """Return the faults that `words` name, each as `name` or `name=value`, with dashes or underscores.

        Raises ConfigurationError for a name or a value that is not known.
        """
        hints, values = get_type_hints(cls), {}
        for word in words:
            name, has_value, value = word.partition("=")
            name = name.replace("-", "_")
            if name not in hints:
                raise ConfigurationError(f"expected one of {', '.join(cls.describe())} as a fault, got {name!r}")
            values[name] = _convert(word, hints[name], value if has_value else None)
        return cls(**values)

    @classmethod
    def describe(cls) -> Mapping[str, str]:
        """Return the name of each fault, as `parse` takes it, and in one line what the phone then does."""
        return {item.name.replace("_", "-"): str(item.metadata["meaning"]) for item in dataclasses.fields(cls)}


_READERS: Final[Mapping[type, type]] = {str: str, int: int, float: float}


def _convert(word: str, hint: Any, value: str | None) -> object:
    if hint is bool:
        if value is None:
            return True
        raise ConfigurationError(f"expected {word.partition('=')[0]} without a value, got {word!r}")
    kind = next(item for item in (get_args(hint) or (hint,)) if item is not type(None))
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    if not value:
        raise ConfigurationError(f"expected {word}=VALUE, got no value")
    if choices:
        if value in choices:
            return value
        raise ConfigurationError(f"expected one of {', '.join(choices)}, got {word!r}")
    try:
        return _READERS[kind](value)
    except ValueError as error:
        raise ConfigurationError(f"expected a number, got {word!r}") from error
