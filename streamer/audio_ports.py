"""The phone's audio ports, as the auth reply tells them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioPort:
    """Where the phone's audio can be had: carried to the user, never dialled.

    Nothing public says what speaks at `port`, nor what the numbers of `type` mean [doc: the words only].
    """

    address: str | None = None  # an IPv4 address
    port: int | None = None  # a string under `internal`, an integer under `external` [doc]
    type: int | None = None  # a string or an integer, as `port`
    address_ipv6: str | None = None  # an IPv6 address


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioPorts:
    """The phone's audio ports: `internal` on its private network, `external` on the public one."""

    internal: AudioPort | None = None  # on the phone's private network
    external: AudioPort | None = None  # on the public network
