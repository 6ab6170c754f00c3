"""Whether to try again, and when: from an error and the time to a delay, or to giving up.

stamina, which repeats single calls in `cloud`, waits by itself and does not tell how long; here the user is told, and
what may be repeated depends on the error. So only its schedule is kept: exponential back-off with jitter.
"""

from dataclasses import dataclass
from typing import Final

from streamer.errors import (
    CloudRefusalError,
    CloudReplyError,
    ConfigurationError,
    DeviceTokenError,
    SignalingClosedError,
    SignalingRefusedError,
    StreamerError,
)
from streamer.wire import CLOSE_TAKEN_OVER, CLOSE_USER_LEFT, CLOSE_USER_MOVED

FIRST_DELAY_S: Final = 0.5
SLOW_DELAY_S: Final = 30.0  # for what the vendor asks to wait for [doc]; with jitter, half of it at the least
_NOT_READY: Final = {"KOOPHONE.API.2003", "KOOPHONE.API.2005", "KOOPHONE.API.2006"}
_TOKENS: Final = 1  # new device tokens in place of one that was refused: a second refusal is not about its age
_DOUBLINGS: Final = 16
PUNCTUAL_S: Final = 5.0  # an end so shortly before a stream's time is up is meant to be it: clocks, and ways, differ
_MEANT: Final = {CLOSE_TAKEN_OVER, CLOSE_USER_LEFT, CLOSE_USER_MOVED}  # of somebody, whatever the time


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnect:
    """How hard a session tries to stay up. Each limit is for one interruption; None is no limit.

    An interruption is over when a stream has lasted for 10 s.

    Attributes:
        attempts: How often a connection is tried.
        max_delay_s: The longest pause before an attempt, in seconds.
        give_up_after_s: How long it is tried for in all, in seconds. The last attempt begins by then and may take 5 s.

    Raises:
        ConfigurationError: A limit is below what is possible.
    """

    attempts: int | None = None
    max_delay_s: float = 30.0
    give_up_after_s: float | None = 600.0

    def __post_init__(self) -> None:
        if self.attempts is not None and self.attempts < 1:
            raise ConfigurationError(f"expected attempts of at least 1, got {self.attempts}")
        if not self.max_delay_s > 0:
            raise ConfigurationError(f"expected max_delay_s above 0, got {self.max_delay_s}")
        if self.give_up_after_s is not None and not self.give_up_after_s > 0:
            raise ConfigurationError(f"expected give_up_after_s above 0, got {self.give_up_after_s}")


class Retries:
    """The attempts of one interruption, which began at `now` (seconds, monotonic). Ask `after` with each error."""

    def __init__(self, policy: Reconnect, now: float) -> None:
        self.deadline = None if policy.give_up_after_s is None else now + policy.give_up_after_s
        self._policy = policy
        self._attempts = 0
        self._tokens = 0

    def after(self, error: StreamerError, now: float, chance: float) -> float | None:
        """Return in how many seconds to try again, at the latest at the deadline; None is to give up.

        `chance`, from 0 to 1, takes up to half off the delay, so that many clients do not come back at once.
        """
        is_token = isinstance(error, DeviceTokenError)
        # The API was understood before: a reply that is not comes from something on the way, and passes.
        may_pass = error.retryable or isinstance(error, CloudReplyError)
        if (
            not may_pass
            or (is_token and self._tokens >= _TOKENS)
            or (self._policy.attempts is not None and self._attempts >= self._policy.attempts)
            or (self.deadline is not None and now >= self.deadline)
        ):
            return None
        delay_s = FIRST_DELAY_S * (1 << min(self._attempts, _DOUBLINGS))
        if is_not_ready(error):
            delay_s = max(delay_s, SLOW_DELAY_S)
        self._attempts += 1
        self._tokens += is_token
        delay_s = min(delay_s, self._policy.max_delay_s) * (1 - chance / 2)
        return delay_s if self.deadline is None else min(delay_s, self.deadline - now)


def is_not_ready(error: BaseException) -> bool:
    """Whether the vendor asks to wait: no instance is free, or this one is being restored or backed up [doc]."""
    return isinstance(error, CloudRefusalError) and (error.error_code or "").upper() in _NOT_READY


def at_expiry(error: StreamerError, lasted_s: float, lasts_s: float | None) -> StreamerError:
    """Return what ended a stream that lasted for so long, and that might last for `lasts_s`, if that is known.

    With which code a phone ends a stream whose time is up is told nowhere: so any that it closes or refuses then, or up
    to 5 s before (but after three quarters of the time), is followed by the next, unless the code says that somebody
    wanted it: another device, or the user.
    """
    is_over = lasts_s is not None and lasts_s > 0 and lasted_s >= lasts_s - min(PUNCTUAL_S, lasts_s / 4)
    if not is_over or not isinstance(error, SignalingClosedError | SignalingRefusedError) or error.code in _MEANT:
        return error
    by_phone = isinstance(error, SignalingRefusedError) or error.by_phone
    return SignalingClosedError(f"the stream's {lasts_s:g} s were up: {error}", code=error.code, by_phone=by_phone)
