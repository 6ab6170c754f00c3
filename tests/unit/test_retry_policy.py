"""Whether to try again, and when."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import streamer
from streamer.cloud.client import RETRIES
from streamer.retry_policy import (
    EXPIRY_TOLERANCE_S,
    FIRST_DELAY_S,
    RENEW_AGAIN_S,
    SLOW_DELAY_S,
    Backoff,
    Reconnect,
    at_expiry,
    is_unclear,
    renewal_delay,
)

LOST = streamer.ConnectionLostError("gone")
EXPIRED = streamer.DeviceTokenError("expired", code=-2)
BUSY = streamer.CloudRefusalError("none is free", status=200, error_code="KooPhone.API.2003", retryable=True)
FINAL = streamer.CloudRefusalError("not yours", status=200, error_code="KOOPHONE.API.1012")
ERRORS = st.sampled_from([LOST, EXPIRED, BUSY, FINAL, streamer.TakenOverError("another device")])


@given(
    attempts=st.none() | st.integers(1, 20),
    max_delay_s=st.floats(0.01, 1000),
    give_up_after_s=st.none() | st.floats(0.01, 10_000),
    steps=st.lists(st.tuples(ERRORS, st.floats(0, 100), st.floats(0, 1)), max_size=60),
)
def test_every_delay_is_within_the_limits(
    attempts: int | None,
    max_delay_s: float,
    give_up_after_s: float | None,
    steps: list[tuple[streamer.StreamerError, float, float]],
) -> None:
    """The law: no delay is longer than allowed, ends after the time to give up, or follows what cannot be mended."""
    policy = Reconnect(attempts=attempts, max_delay_s=max_delay_s, give_up_after_s=give_up_after_s)
    now = 1000.0
    backoff = Backoff(policy, now)
    tried = tokens = 0
    for error, passed_s, jitter in steps:
        now += passed_s
        delay_s = backoff.next_delay(error, now, jitter)
        if delay_s is None:
            break
        tried, tokens = tried + 1, tokens + (error is EXPIRED)
        assert error.retryable
        assert 0 <= delay_s <= max_delay_s
        assert attempts is None or tried <= attempts
        assert tokens <= 1
        if give_up_after_s is not None:
            assert now + delay_s <= 1000.0 + give_up_after_s + 1e-6
        now += delay_s


def test_delays_double_up_to_the_limit_and_jitter_takes_at_most_half_of_them() -> None:
    for jitter, part in ((0.0, 1.0), (1.0, 0.5)):
        backoff = Backoff(Reconnect(max_delay_s=3, give_up_after_s=None), 0)
        delays = [backoff.next_delay(LOST, 0, jitter) for _ in range(5)]
        assert delays == [part * delay for delay in (FIRST_DELAY_S, 1, 2, 3, 3)]


def test_attempts_without_a_limit_never_end_and_never_overflow() -> None:
    backoff = Backoff(Reconnect(give_up_after_s=None), 0)
    assert [backoff.next_delay(LOST, 0, 0) for _ in range(2000)][-1] == 30


def test_errors_that_ask_to_wait_are_retried_slowly() -> None:
    delay_s = Backoff(Reconnect(max_delay_s=100), 0).next_delay(BUSY, 0, 1)
    assert delay_s == SLOW_DELAY_S / 2


def test_the_last_attempt_is_made_at_the_time_to_give_up() -> None:
    backoff = Backoff(Reconnect(give_up_after_s=10), 0)
    assert backoff.next_delay(BUSY, 4, 0) == 6
    assert backoff.next_delay(BUSY, 10, 0) is None


def test_an_unreadable_reply_is_retried_only_after_readable_ones() -> None:
    html = streamer.CloudReplyError("expected JSON, got HTML", status=200)
    assert not html.retryable  # to whoever connects: the endpoint may be wrong
    assert Backoff(Reconnect(), 0).next_delay(html, 0, 0) is None
    assert Backoff(Reconnect(), 0, has_worked=True).next_delay(html, 0, 0) == FIRST_DELAY_S


def test_a_call_of_the_api_is_repeated_twice_within_seconds() -> None:
    for error, delays in ((LOST, [0.5, 1.0, None]), (BUSY, [1.6, 1.6, None]), (FINAL, [None])):
        backoff = Backoff(RETRIES, 0)
        assert [backoff.next_delay(error, 0, 0) for _ in delays] == delays


@pytest.mark.parametrize("limits", [{"attempts": 0}, {"max_delay_s": 0}, {"give_up_after_s": -1.0}])
def test_an_invalid_limit_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(streamer.ConfigurationError, match=next(iter(limits))):
        Reconnect(**limits)  # type: ignore[arg-type]


@given(st.none() | st.floats(0, 1000), st.none() | st.floats(-1000, 1000))
def test_a_renewal_that_failed_is_tried_again_before_the_stream_ends(
    delay_s: float | None, left_s: float | None
) -> None:
    """The law: another attempt begins within the first half of what is left, while that is a second or more. It is
    never later than the back-off says, and never sooner than that by more than it has to be."""
    chosen_s = renewal_delay(delay_s, left_s)
    usual_s = RENEW_AGAIN_S if delay_s is None else delay_s
    assert chosen_s <= usual_s
    if left_s is not None and left_s >= 1:
        assert chosen_s <= left_s / 2
    assert chosen_s == usual_s or (left_s is not None and chosen_s == left_s / 2 >= FIRST_DELAY_S)


CODES = st.sampled_from([None, -1, 0, 1203, 1300, 1400, 1401, 1402, 1403, 1406, 1412, 1415, 3000, 4711])
ENDS = st.one_of(
    st.builds(
        lambda code, final: streamer.SignalingClosedError("closed", code=code, retryable=not final),
        CODES,
        st.booleans(),
    ),
    st.builds(lambda code: streamer.SignalingRefusedError("refused", code=code), CODES),
    st.builds(lambda code: streamer.DeviceTokenError("expired", code=code), CODES),
    st.sampled_from(
        [LOST, FINAL, streamer.TakenOverError("another device"), streamer.SignalingProtocolError("nonsense")]
    ),
)


@given(ENDS, st.floats(0, 10_000), st.none() | st.floats(0, 10_000))
def test_the_end_of_an_expired_stream_ends_the_session_only_if_it_was_deliberate(
    error: streamer.StreamerError, lasted_s: float, lasts_s: float | None
) -> None:
    """The law: a close or a refusal is worth another try from three quarters of the time on, or 5 s before
    its end if that is later, but for the codes of another device or the user; anything else is what it is."""
    begins_s = math.inf if not lasts_s else max(lasts_s - EXPIRY_TOLERANCE_S, 0.75 * lasts_s)
    assume(abs(lasted_s - begins_s) > 1e-6)
    told = at_expiry(error, lasted_s, lasts_s)
    is_no = isinstance(error, streamer.SignalingClosedError | streamer.SignalingRefusedError)
    if lasted_s < begins_s or not is_no or getattr(error, "code", None) in {1401, 1402, 1412}:
        assert told is error
    else:
        assert isinstance(told, streamer.SignalingClosedError)
        assert told.retryable
        assert (told.code, str(error) in str(told)) == (getattr(error, "code", None), True)


@pytest.mark.parametrize(
    "error",
    [
        streamer.CloudUnreachableError("timed out"),
        streamer.CloudReplyError("half of it", status=200),
        streamer.CloudReplyError("HTML", status=502),
        streamer.CloudRefusalError("busy", status=500, error_code=None),
        streamer.CloudRefusalError("internal", status=200, error_code="KooPhone.API.9999"),
    ],
    ids=str,
)
def test_after_a_lost_reply_and_a_fault_of_the_service_it_is_unclear_what_happened(
    error: streamer.StreamerError,
) -> None:
    assert is_unclear(error)


@pytest.mark.parametrize(
    "error",
    [
        streamer.CloudUnreachableError("refused", was_sent=False),
        streamer.CloudReplyError("too fast", status=429),
        streamer.CloudReplyError("a redirect", status=302),
        streamer.CloudReplyError("HTML", status=404),
        streamer.CloudRefusalError("too fast", status=429, error_code=None),
        streamer.CloudRefusalError("not yours", status=200, error_code="KOOPHONE.API.1012"),
        streamer.CredentialsError("who are you", status=401, error_code=None),
    ],
    ids=str,
)
def test_after_a_refusal_it_is_clear_that_nothing_happened(error: streamer.StreamerError) -> None:
    assert not is_unclear(error)
