"""What the vendor's auth reply says, as plain objects (reply → Ticket)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamer.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioPort:
    """Where the phone's audio can be had, as the auth reply tells it: carried to the user, never dialled.

    Nothing public says what speaks at `port`, nor what the numbers of `type` mean [doc: the words only].
    """

    address: str | None = None
    port: int | None = None  # a string under `internal`, an integer under `external` [doc]
    type: int | None = None  # likewise
    address_ipv6: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioPorts:
    """The phone's audio ports: `internal` on its private network, `external` on the public one."""

    internal: AudioPort | None = None
    external: AudioPort | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """All that one attempt to reach a phone needs. The device token lives some 15 seconds [seen]: use it at once."""

    instance_id: str
    device_id: str
    device_token: Secret
    signaling_url: str
    streaming_id: str | None = None
    expires_in_s: float | None = None  # how long the stream may last [doc]
    ice_servers: tuple[str | Mapping[str, object], ...] = field(default=(), repr=False)  # may hold TURN passwords
    audio_ports: AudioPorts = field(default_factory=AudioPorts)
