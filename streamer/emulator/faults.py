"""What can be made to go wrong with the emulator, each as one field."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from streamer.errors import ConfigurationError

STEPS = ("open", "connect", "authorize", "start", "offer", "answer")


def _fault(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(slots=True, kw_only=True)
class Faults:
    """The faults in force. Change a field at any time; it counts from the next call, connection or message on."""

    auth_code: str = _fault("", "the auth call is refused with this error code, such as KOOPHONE.API.2005")
    auth_status: int = _fault(200, "the HTTP status that goes with auth_code; alone, with an empty refusal")
    auth_body: str = _fault("", "the auth reply's body is: html, empty, silence, truncated, flat (older) or nulls")
    auth_times: int = _fault(0, "what auth_code, auth_status and auth_body do happens so often; 0 is for ever")
    call_code: str = _fault("", "the calls beside a stream, such as sync-command, are refused with this error code")
    call_status: int = _fault(
        200, "the HTTP status that goes with call_code; alone, such as 429, with the gateway's code"
    )
    call_reply_lost: bool = _fault(False, "the calls beside a stream are carried out, and their replies are lost")
    call_times: int = _fault(0, "what call_code, call_status and call_reply_lost do happens so often; 0 is for ever")
    command_code: str = _fault("", "commands and installations fail on the phone with this error code, such as CPS0005")
    commands_per_minute: int = _fault(0, "more sync-commands and async-commands a minute get HTTP 429; 0 is any number")
    task_s: float = _fault(0.0, "a task, such as an installation, takes so many seconds")
    prepare_fails: bool = _fault(False, "an instance that has to be prepared does not get ready")
    token: str = _fault("", "the device token is judged: invalid, or expired")
    token_times: int = _fault(0, "token happens this often, then no more; 0 is for ever")
    refuse: str = _fault("", "the WebSocket's owner is refused with this text (Socket.IO error)")
    silent_at: str = _fault("", f"nothing more is said from this step on: {', '.join(STEPS)}")
    drop_at: str = _fault("", f"the WebSocket is reset at this step: {', '.join(STEPS)}")
    no_pong: bool = _fault(False, "pings are not answered")
    refuse_start: int = _fault(0, "the start of the stream is refused with this code")
    disconnect_after_s: float = _fault(0.0, "so many seconds after the answer, a Socket.IO disconnect comes")
    close_after_s: float = _fault(0.0, "so many seconds after the answer, the stream is closed with close_reason")
    close_reason: str = _fault("1403", "the reason that goes with close_after_s")
    cut_after_s: float = _fault(0.0, "so many seconds after the answer, the WebSocket is reset without a word")
    lose_path_after_s: float = _fault(0.0, "so many seconds after the answer, the network path loses every datagram")
    lose_path_for_s: float = _fault(0.0, "the path is lost for so long; 0 is for good")
    lose: float = _fault(0.0, "this share of the media is lost, in bursts of some three datagrams, such as 0.1")
    lose_data: float = _fault(0.0, "this share of the datagrams of data channels is lost, both ways, such as 0.03")
    delay_s: float = _fault(0.0, "each datagram is so many seconds under way, each way, such as 0.02")
    overtake: float = _fault(0.0, "this share of the media comes 20 ms late, after what was sent later")
    repeat: float = _fault(0.0, "this share of the media comes twice")
    restart_ice_after_s: float = _fault(0.0, "so many seconds after the answer, an offer restarts ICE")
    former_lingers_s: float = _fault(0.0, "after a restart of ICE, the former path goes on for so many seconds")
    outlives_signaling_s: float = _fault(0.0, "a stream goes on for so many seconds after its WebSocket was lost")
    no_keyframes: bool = _fault(False, "no keyframe is made for who asks for one, or comes late: only each in its turn")
    reordering_sps: bool = _fault(False, "the parameter sets allow reordered frames, and none is, as of some encoders")
    b_frames: bool = _fault(False, "frames are sent in another order than they are shown (B-frames)")
    slices: int = _fault(1, "each frame has so many slices, such as 4")
    marker_per_slice: bool = _fault(False, "the last packet of each slice bears the marker bit, not only of the last")
    no_markers: bool = _fault(False, "no packet bears a marker bit")
    annexb_in_fua: bool = _fault(False, "each access unit is sent as if it were one NAL unit, start codes included")
    parameter_sets_apart: bool = _fault(False, "parameter sets are sent with an RTP time of their own")
    intra_refresh: bool = _fault(False, "there are no keyframes, but recovery points: each frame is refreshed in part")
    restart_after_s: float = _fault(0.0, "so many seconds after the answer, the phone restarts: all is dropped")
    announce_input_after_s: float = _fault(0.0, "so many seconds after it is connected, the phone announces `input`")
    ignore_client_input: bool = _fault(False, "the client's own data channel `input` is never read")
    idle_close_s: float = _fault(0.0, "a stream without input for so many seconds is closed with 1403")
    early_candidates: bool = _fault(False, "candidates come before the offer")
    data_payload: bool = _fault(False, "messages carry base64 `data` instead of `payload`")
    bad_offer: bool = _fault(False, "the offer is no SDP")
    no_media: bool = _fault(False, "the answer is ignored: no network path comes up")

    @classmethod
    def describe(cls) -> dict[str, str]:
        """Return each fault's name and meaning."""
        return {entry.name: entry.metadata["meaning"] for entry in dataclasses.fields(cls)}

    @classmethod
    def parse(cls, texts: list[str]) -> "Faults":
        """Return the faults in a list of `name` and `name=value`. Raises ConfigurationError."""
        faults = cls()
        for text in texts:
            name, has_value, value = text.partition("=")
            if name not in cls.describe():
                raise ConfigurationError(f"expected a fault that 'streamer phone --fault list' names, got {name!r}")
            kind = type(getattr(faults, name))
            if (kind is bool) == bool(has_value):
                wanted = name if kind is bool else f"{name}=VALUE"
                raise ConfigurationError(f"expected a fault such as {wanted}, got {text!r}")
            try:
                setattr(faults, name, True if kind is bool else kind(value))
            except ValueError as error:
                wanted = "a whole number" if kind is int else "a number"
                raise ConfigurationError(f"expected {wanted} for the fault {name}, got {value!r}") from error
        return faults
