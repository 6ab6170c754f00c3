"""What `serve` is asked for, as one object for all that it makes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from streamer.emulator.faults import Faults


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneOptions:
    """The keywords of `serve`, which explains them and has their defaults."""

    host: str
    port: int
    width: int
    height: int
    fps: int
    bitrate_bps: int
    audio: bool
    flash_and_beep: bool
    screen: str
    reactions_ms: Sequence[int]
    faults: Faults
    instance_id: str
    tenant_token: str | None = field(repr=False)
    announce_input: bool
    allow_many: bool
    token_lifetime_s: float
    expires_in_s: float | None
    ice_servers: list[Any] = field(repr=False)  # they have passwords
    ping_interval_s: float
    ping_timeout_s: float
    prepare_s: float
    session_lingers_s: float
    reboot_s: float
