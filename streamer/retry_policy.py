"""Decides whether and when to try again after an error: exponential back-off with jitter."""

from dataclasses import dataclass
from typing import Final

from streamer.errors import (
    CloudRefusalError,
    CloudReplyError,
    CloudUnreachableError,
    ConfigurationError,
    DeviceTokenError,
    SignalingClosedError,
    SignalingRefusedError,
    StreamerError,
)
from streamer.protocol_constants import CLOSE_TAKEN_OVER, CLOSE_USER_LEFT, CLOSE_USER_MOVED

FIRST_DELAY_S: Final = 0.5
SLOW_DELAY_S: Final = 30.0  # if the vendor asks to wait [doc]; jitter takes off at most half
_NOT_READY: Final = {"KOOPHONE.API.2003", "KOOPHONE.API.2005", "KOOPHONE.API.2006"}
_INTERNAL_ERROR: Final = "KOOPHONE.API.9999"
_TOKENS: Final = 1  # new device tokens after a refused one: a second refusal has another reason
_DOUBLINGS: Final = 16
RENEW_AGAIN_S: Final = 10.0  # after a renewal failed with an error that is not retryable, while the stream still runs
EXPIRY_TOLERANCE_S: Final = 5.0  # an end so shortly before a stream's time is up counts as its expiry: clocks differ
_DELIBERATE_CLOSE_CODES: Final = {CLOSE_TAKEN_OVER, CLOSE_USER_LEFT, CLOSE_USER_MOVED}  # never an expiry


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnect:
    """How a session reconnects. Each limit is for one interruption; None sets no limit.

    An interruption is over when a stream has lasted for 10 s.

    Attributes:
        attempts: How many connections are tried.
        max_delay_s: The longest pause before an attempt, in seconds.
        give_up_after_s: How long all attempts may take, in seconds. The last attempt begins by then and may take 5 s.

    Raises:
        ConfigurationError: A limit is too low.
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


class Backoff:
    """The back-off after a first error at `now` (seconds, monotonic). Call `next_delay` with each error.

    `has_worked` says that the API was understood before. An unreadable reply is then a passing error, such as that of
    a proxy.
    """

    def __init__(self, policy: Reconnect, now: float, *, has_worked: bool = False) -> None:
        self.deadline = None if policy.give_up_after_s is None else now + policy.give_up_after_s
        self._policy = policy
        self._has_worked = has_worked
        self._attempts = 0
        self._tokens = 0

    def next_delay(self, error: StreamerError, now: float, jitter: float) -> float | None:
        """Return the delay in seconds before the next attempt, at most until the deadline; None means give up.

        `jitter`, from 0 to 1, takes up to half off the delay, so that many clients do not return at once.
        """
        is_token = isinstance(error, DeviceTokenError)
        may_pass = error.retryable or (self._has_worked and isinstance(error, CloudReplyError))
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
        delay_s = min(delay_s, self._policy.max_delay_s) * (1 - jitter / 2)
        return delay_s if self.deadline is None else min(delay_s, self.deadline - now)


def renewal_delay(delay_s: float | None, left_s: float | None) -> float:
    """Return the delay in seconds before the next attempt of a failed renewal, while the stream still runs.

    `delay_s` is the back-off's delay; None if it gives up. `left_s` is the time left of the stream, if known: while it
    is a second or more, the next attempt begins before it is over.
    """
    delay_s = RENEW_AGAIN_S if delay_s is None else delay_s
    return delay_s if left_s is None or left_s < 2 * FIRST_DELAY_S else min(delay_s, left_s / 2)


def is_not_ready(error: BaseException) -> bool:
    """Whether the vendor asks to wait: no instance is free, or this one is being restored or backed up [doc]."""
    return isinstance(error, CloudRefusalError) and (error.error_code or "").upper() in _NOT_READY


def is_unclear(error: StreamerError) -> bool:
    """Whether a call that ended with this error may have been carried out all the same."""
    if isinstance(error, CloudUnreachableError):
        return error.was_sent
    if isinstance(error, CloudRefusalError):
        return error.status >= 500 or (error.error_code or "").upper() == _INTERNAL_ERROR
    return isinstance(error, CloudReplyError) and not 300 <= error.status < 500


def at_expiry(error: StreamerError, lasted_s: float, lasts_s: float | None) -> StreamerError:
    """Return the error of a stream that lasted for `lasted_s` and may last for `lasts_s`, if that is known.

    No source documents the code with which a phone ends a stream whose time is up. So any close or refusal from 5 s
    before that time on, but after three quarters of it, counts as an expiry, which is retryable. The codes for another
    device and for the user never do.
    """
    is_over = lasts_s is not None and lasts_s > 0 and lasted_s >= lasts_s - min(EXPIRY_TOLERANCE_S, lasts_s / 4)
    if (
        not is_over
        or not isinstance(error, SignalingClosedError | SignalingRefusedError)
        or error.code in _DELIBERATE_CLOSE_CODES
    ):
        return error
    by_phone = isinstance(error, SignalingRefusedError) or error.by_phone
    return SignalingClosedError(
        f"the stream reached its limit of {lasts_s:g} s: {error}", code=error.code, by_phone=by_phone
    )
