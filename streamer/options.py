"""What a program wants of a session: one frozen object for all layers, checked where it is made."""

import ssl
from dataclasses import dataclass
from typing import Final, get_args

from streamer.cloud.calls import check_user_id
from streamer.errors import ConfigurationError
from streamer.media.libav import Device
from streamer.retry_policy import Reconnect
from streamer.targets.reading import ReadText

PREROLL_LIMIT_S: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectOptions:
    """The options of `streamer.connect`, which describes each.

    Raises ConfigurationError if one is wrong.
    """

    verify: bool | ssl.SSLContext
    timeout_s: float
    relay_only: bool
    preroll_s: float
    volume: int
    reconnect: Reconnect | None
    prepare_for: str | None
    prepare_timeout_s: float
    release: bool
    keep_awake: bool
    read_text: ReadText | None
    decoder: Device

    def __post_init__(self) -> None:
        if not self.timeout_s > 0:
            raise ConfigurationError(f"expected timeout_s above 0, got {self.timeout_s}")
        if not 0 <= self.preroll_s <= PREROLL_LIMIT_S:
            raise ConfigurationError(f"expected preroll_s from 0 to {PREROLL_LIMIT_S:g}, got {self.preroll_s}")
        if self.volume not in range(101):
            raise ConfigurationError(f"expected a whole volume from 0 to 100, got {self.volume}")
        if not self.prepare_timeout_s > 0:
            raise ConfigurationError(f"expected prepare_timeout_s above 0, got {self.prepare_timeout_s}")
        if self.prepare_for is not None:
            check_user_id(self.prepare_for)
        if self.decoder not in get_args(Device):
            raise ConfigurationError(f'expected decoder to be "cpu", "cuda" or "auto", got {self.decoder!r}')
        if self.read_text is not None and not callable(self.read_text):
            raise ConfigurationError(f"expected read_text to be a function, got {type(self.read_text).__name__}")
