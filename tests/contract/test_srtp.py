"""SRTP packets of libsrtp's own sessions: jumps, replays, many sources, and the counters."""

import struct
from collections import Counter
from collections.abc import Container

import pylibsrtp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import Policy

from streamer.rtc._aiortc import srtp
from streamer.rtc._aiortc.srtp import ROLLOVERS_LIMIT, SOURCES_LIMIT, Inbound, Reason
from streamer.rtc.liveness import Liveness
from streamer.rtc.refusals import IN_A_ROW
from tests.support.examples import examples

S = 1_000_000_000
KEYS = {Policy.SRTP_PROFILE_AES128_CM_SHA1_80: bytes(range(30)), Policy.SRTP_PROFILE_AEAD_AES_128_GCM: bytes(range(28))}
CM, GCM = KEYS


class Path:
    """A phone that protects packets, and what takes them, with a clock of its own."""

    def __init__(self, profile: int = CM, *, offered: Container[int] = frozenset()) -> None:
        self.profile = profile
        self.now_ns = 1000 * S
        self.refused: Counter[Reason] = Counter()
        self.resumed: list[str] = []
        self.exhausted = 0
        self.phone = pylibsrtp.Session(self.policy(Policy.SSRC_ANY_OUTBOUND, 0))
        self.index: dict[int, int] = {}
        self.inbound = Inbound(
            self.policy,
            offered=offered,
            on_refused=self._count,
            on_resumed=self.resumed.append,
            on_exhausted=self._exhaust,
            clock=lambda: self.now_ns,
        )

    def policy(self, ssrc_type: int, ssrc: int) -> Policy:
        policy = Policy(key=KEYS[self.profile], ssrc_type=ssrc_type, ssrc_value=ssrc, srtp_profile=self.profile)
        policy.window_size = 1024
        policy.allow_repeat_tx = True
        return policy

    def protect(self, index: int, ssrc: int = 7) -> bytes:
        """Return the packet with a number of 48 bits, the ones in between being lost."""
        for between in range(self.index.setdefault(ssrc, index), index, 30_000):
            self.phone.protect(struct.pack("!BBHII", 0x80, 96, between & 0xFFFF, 0, ssrc) + b"lost")
        self.index[ssrc] = index
        return bytes(self.phone.protect(struct.pack("!BBHII", 0x80, 96, index & 0xFFFF, 0, ssrc) + b"%d" % index))

    def take(self, datagram: bytes, after_ns: int = S // 30) -> bytes | None:
        """Take a datagram as the tap does; return its payload."""
        self.now_ns += after_ns
        packet = self.inbound.unprotect(datagram)
        if packet is not None and self.inbound.refusals.any:
            self.inbound.note_accepted([packet])
        return packet and packet[12:]

    def refused_since_ns(self) -> int | None:
        return self.inbound.refused_since_ns(self.now_ns)

    def _count(self, reason: Reason) -> None:
        self.refused[reason] += 1

    def _exhaust(self) -> None:
        self.exhausted += 1


@pytest.mark.parametrize("profile", KEYS)
@given(st.integers(0, 65_535), st.integers(1 << 15, 1 << 18))
@examples(25)
def test_packets_are_accepted_again_after_a_jump_of_any_length(profile: int, first: int, jump: int) -> None:
    """The law: whatever number a source begins with and however far it jumps, packets are soon accepted again, as they
    were sent, and refused packets were reported."""
    path = Path(profile)
    for index in range(first, first + 10):
        assert path.take(path.protect(index)) == b"%d" % index
    found = [path.take(path.protect(first + jump + number)) for number in range(30)]
    accepted = [payload for payload in found if payload is not None]
    assert accepted == [b"%d" % (first + jump + number) for number in range(30)][-len(accepted) :]
    assert len(accepted) >= 30 - IN_A_ROW
    assert len(path.resumed) == (len(accepted) < 30)
    assert path.refused_since_ns() is None


def test_a_jump_late_in_a_session_is_found_a_slice_at_a_time() -> None:
    path = Path()
    path.now_ns += 10_000 * S
    first = 300 << 16
    path.index[7] = 0
    for index in range(0, first, 30_000):
        assert path.take(path.protect(index), after_ns=0) is not None
    found = [path.take(path.protect(first + 200_000 + number)) for number in range(60)]
    assert None not in found[-30:]
    assert path.resumed


def test_a_jump_too_far_to_be_found_is_given_up() -> None:
    path = Path()
    assert path.take(path.protect(5)) is not None
    far = path.protect((ROLLOVERS_LIMIT + 2) << 16)
    for _ in range(200):
        assert path.take(far) is None
    assert path.refused_since_ns() is not None


def test_replayed_packets_are_never_accepted_and_do_no_harm() -> None:
    """An old packet authenticates at an earlier roll-over: the source must not be led back to it."""
    path = Path()
    old = [path.protect(index) for index in range(40_000, 40_100)]
    assert path.take(old[0]) is not None
    for index in range(40_100, 400_000, 20_000):
        assert path.take(path.protect(index)) is not None
    for replayed in old * 3:
        assert path.take(replayed) is None
    assert path.take(path.protect(400_000)) == b"400000"
    assert path.resumed == []
    assert sum(path.refused.values()) == 300


@pytest.mark.parametrize("first", [65_530, 65_535])
def test_a_source_whose_first_packets_were_lost_at_a_roll_over_is_found(first: int) -> None:
    path = Path()
    path.protect(first)
    found = [path.take(path.protect(65_540 + number)) for number in range(20)]
    assert None not in found[IN_A_ROW:]
    assert found[0] is None


def test_sources_are_bounded() -> None:
    path = Path()
    for ssrc in range(SOURCES_LIMIT):
        assert path.take(path.protect(1, ssrc)) is not None
    assert path.exhausted == 0
    for ssrc in range(SOURCES_LIMIT, 2 * SOURCES_LIMIT):
        assert path.take(path.protect(1, ssrc)) is None
    assert path.exhausted == SOURCES_LIMIT
    assert path.take(path.protect(2, 0)) is not None


def test_sources_of_reports_are_sources_too() -> None:
    path = Path()
    report = path.phone.protect_rtcp(struct.pack("!BBHI", 0x80, 201, 1, 9))
    assert path.inbound.unprotect_rtcp(report) == struct.pack("!BBHI", 0x80, 201, 1, 9)
    assert path.inbound.unprotect_rtcp(report) is None
    assert path.inbound.unprotect_rtcp(struct.pack("!BBHI", 0x80, 201, 1, 10) + bytes(20)) is None
    assert path.refused == {"replay": 1, "authentication": 1}
    assert path.take(path.protect(1, 9)) is not None


def test_junk_from_a_stranger_is_counted_and_says_nothing_about_the_phone() -> None:
    path = Path()
    assert path.take(path.protect(1)) is not None
    for number in range(500):
        junk = struct.pack("!BBHII", 0x80, 96, number, 0, 1000 + number % 5) + bytes(40)
        assert path.take(junk) is None
    assert path.refused == {"authentication": 500}
    assert path.refused_since_ns() is None


def test_forged_packets_with_the_phones_ssrc_prove_nothing_while_real_ones_arrive() -> None:
    path = Path()
    for number in range(1, 100, 2):
        assert path.take(path.protect(number)) is not None
        for _ in range(20):
            path.take(struct.pack("!BBHII", 0x80, 96, number + 1, 0, 7) + bytes(40), after_ns=0)
        assert path.take(path.protect(number + 1)) is not None
        assert path.refused_since_ns() is None


@pytest.mark.parametrize("ssrc", [7, 1000])
def test_junk_causes_at_most_one_slice_of_searching_in_20_ms(ssrc: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The law: however fast junk comes, whether it has the phone's SSRC or another, searching takes bounded time."""
    slices = 0
    advance = srtp._Search.advance

    def counted(search: srtp._Search, steps: int) -> None:
        nonlocal slices
        slices += 1
        advance(search, steps)

    monkeypatch.setattr(srtp._Search, "advance", counted)
    path = Path()
    assert path.take(path.protect(1)) is not None
    for number in range(2000):
        junk = struct.pack("!BBHII", 0x80, 96, number, 0, ssrc) + bytes(40)
        assert path.take(junk, after_ns=S // 1000) is None
    assert 1 < slices <= 2 * S // srtp._SLICE_EVERY_NS


def test_a_jump_is_found_while_a_stranger_sends_junk() -> None:
    path = Path()
    for index in range(10):
        assert path.take(path.protect(index)) is not None
    found = []
    for number in range(60):
        for part in range(30):
            path.take(struct.pack("!BBHII", 0x80, 96, 30 * number + part, 0, 1000) + bytes(40), after_ns=S // 1000)
        found.append(path.take(path.protect(200_000 + number), after_ns=0))
    assert None not in found[-30:]


def test_a_path_fails_if_packets_of_an_offered_source_never_authenticate() -> None:
    path = Path(offered={7})
    begun_ns = path.now_ns
    for number in range(50):
        assert path.take(struct.pack("!BBHII", 0x80, 96, number, 0, 7) + bytes(40)) is None
    since_ns = path.refused_since_ns()
    assert since_ns is not None
    assert since_ns - begun_ns <= S


@given(
    before=st.sampled_from(["nothing", "RTP", "RTCP"]),
    offered=st.booleans(),
    sources=st.lists(st.integers(1000, 1003), min_size=1, max_size=4),
)
@examples(30)
def test_junk_from_a_stranger_says_nothing_about_the_path(before: str, offered: bool, sources: list[int]) -> None:
    path = Path(offered={7} if offered else frozenset())
    if before == "RTP":
        assert path.take(path.protect(1)) is not None
    if before == "RTCP":
        assert path.inbound.unprotect_rtcp(path.phone.protect_rtcp(struct.pack("!BBHI", 0x80, 201, 1, 7))) is not None
    liveness = Liveness(path.now_ns)
    for number in range(300):  # ten seconds
        for ssrc in sources:
            assert path.take(struct.pack("!BBHII", 0x80, 96, number, 0, ssrc) + bytes(40), after_ns=0) is None
        path.now_ns += S // 30
        assert path.refused_since_ns() is None
        assert liveness.poll(path.now_ns, path.now_ns, path.refused_since_ns()).state == "alive"


def test_a_path_fails_if_packets_of_a_source_that_sent_reports_are_refused() -> None:
    path = Path()
    assert path.inbound.unprotect_rtcp(path.phone.protect_rtcp(struct.pack("!BBHI", 0x80, 201, 1, 7))) is not None
    for number in range(50):
        assert path.take(struct.pack("!BBHII", 0x80, 96, number, 0, 7) + bytes(40)) is None
    assert path.refused_since_ns() is not None


@given(st.lists(st.binary(max_size=1600), max_size=30))
@examples(50)
def test_any_datagram_is_refused_and_counted(datagrams: list[bytes]) -> None:
    path = Path()
    assert path.take(path.protect(1)) is not None
    assert [path.take(datagram) for datagram in datagrams] == [None] * len(datagrams)
    assert path.inbound.unprotect_rtcp(b"") is None
    assert sum(path.refused.values()) == len(datagrams) + 1
    assert path.take(path.protect(2)) is not None
