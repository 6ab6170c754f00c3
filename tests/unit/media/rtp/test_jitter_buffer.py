"""The jitter buffer, against a plain model of its own description."""

from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamer.media.rtp.jitter_buffer import JitterBuffer
from streamer.media.rtp.packet import RtpPacket
from tests.support.examples import examples

CAPACITY = 64
HOLD_NS = 100
MAX_BYTES = 2_000


def packet(sequence_number: int, size: int = 0) -> RtpPacket:
    return RtpPacket(96, False, sequence_number & 0xFFFF, 0, 1, bytes(size), 0)


@dataclass
class Model:
    """The three sentences of the buffer's docstring over true packet numbers, without any thought of cost."""

    came: set[int] = field(default_factory=set)
    noticed: dict[int, int] = field(default_factory=dict)
    next: int | None = None
    lost: int = 0
    late: int = 0

    def insert(self, number: int, now_ns: int) -> list[int]:
        if self.next is None:
            self.next = number
        if number < self.next or number in self.came:
            self.late += 1
            return []
        highest = max(self.came, default=self.next - 1)
        self.came.add(number)
        self.noticed |= dict.fromkeys(range(max(highest + 1, self.next), number), now_ns)
        self.noticed.pop(number, None)
        return self._leave()

    def give_up(self, now_ns: int) -> list[int]:
        left = []
        for absent in sorted(self.noticed):
            if self.noticed[absent] + HOLD_NS > now_ns:
                break
            del self.noticed[absent]
            self.lost += 1
            self.next = absent + 1
            left += self._leave()
        return left

    def _leave(self) -> list[int]:
        left = []
        while self.next is not None and self.next in self.came:
            left.append(self.next)
            self.next += 1
        return left


# What arrives: steps from the highest number so far (0 repeats it, negative ones are late or repeated), and waits.
arrivals = st.lists(st.tuples(st.integers(-12, 8), st.integers(0, 60)), min_size=1, max_size=150)


def numbers_of(steps: list[tuple[int, int]], first: int) -> list[tuple[int, int]]:
    """Return (true number, time) for each arrival; the first is the stream's first."""
    highest, now_ns = first, 0
    made = [(first, 0)]
    for step, wait_ns in steps:
        now_ns += wait_ns
        made.append((highest + step, now_ns))
        highest = max(highest, highest + step)
    return made


@given(arrivals, st.integers(0, 0xFFFF), st.booleans())
@example([(2, 0), (0, 0), (-1, 0), (1, 100)], 0xFFFE, True)
@examples(300)
def test_the_buffer_does_what_its_description_says(steps: list[tuple[int, int]], first: int, polled: bool) -> None:
    """The law: for any loss, reordering, repetition and timing, what leaves, when, and every count are the model's."""
    buffer, model = JitterBuffer(hold_ns=HOLD_NS), Model()
    for number, now_ns in numbers_of(steps, first):
        if polled:
            assert [p.sequence_number for p in buffer.give_up(now_ns)] == [n & 0xFFFF for n in model.give_up(now_ns)]
        left = buffer.insert(packet(number), now_ns)
        assert [p.sequence_number for p in left] == [n & 0xFFFF for n in model.insert(number, now_ns)]
        assert [index & 0xFFFF for index in buffer.missing] == [n & 0xFFFF for n in sorted(model.noticed)]
        oldest_ns = min(model.noticed.values(), default=None)
        assert buffer.deadline_ns == (None if oldest_ns is None else oldest_ns + HOLD_NS)
        assert buffer.lost == model.lost


@given(arrivals, st.integers(0, 0xFFFF))
@examples(300)
def test_indices_rise_and_everything_in_time_has_left_after_the_hold_time(
    steps: list[tuple[int, int]], first: int
) -> None:
    """The law: indices rise strictly, so nothing leaves twice; in the end what came is what left and what was late."""
    buffer, model = JitterBuffer(hold_ns=HOLD_NS), Model()
    released: list[RtpPacket] = []
    inserted = 0
    for number, now_ns in numbers_of(steps, first):
        released += buffer.give_up(now_ns)
        released += buffer.insert(packet(number), now_ns)
        model.give_up(now_ns)
        model.insert(number, now_ns)
        inserted += 1
    released += buffer.give_up(1 << 60)
    assert buffer.deadline_ns is None
    assert inserted == len(released) + model.late
    indices = [p.index for p in released]
    assert indices == sorted(set(indices))
    assert all(p.index & 0xFFFF == p.sequence_number for p in released)
    assert indices[-1] - indices[0] + 1 == len(indices) + buffer.lost


@given(st.integers(0, 0xFFFF), st.permutations(range(1, 24)))
def test_without_loss_everything_leaves_in_order_and_no_gap_is_given_up(first: int, order: list[int]) -> None:
    """The law: any reordering that is shorter than the hold time is invisible behind the buffer."""
    buffer = JitterBuffer(hold_ns=HOLD_NS, capacity=CAPACITY)
    left = buffer.insert(packet(first), 0)
    for now_ns, number in enumerate(order):
        left += buffer.insert(packet(first + number), now_ns)
        left += buffer.give_up(now_ns)
    assert [p.sequence_number for p in left] == [(first + number) & 0xFFFF for number in range(24)]
    assert buffer.lost == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 0xFFFF) | st.integers(0, 99), st.integers(0, 200), st.booleans()),
        min_size=1,
        max_size=200,
    ),
    st.integers(0, 20),
)
def test_the_buffer_stays_bounded_and_goes_on_whatever_arrives(
    arrivals: list[tuple[int, int, bool]], wait_ns: int
) -> None:
    """The law: for any sequence numbers and sizes at all, no more than `capacity` packets are held or missing, and no
    more than `max_bytes`; indices rise; then a stream flows."""
    buffer = JitterBuffer(hold_ns=HOLD_NS, capacity=CAPACITY, max_bytes=MAX_BYTES)
    now_ns, left = 0, []
    for number, size, is_retransmission in arrivals:
        now_ns += wait_ns
        left += buffer.insert(packet(number, size), now_ns, is_retransmission=is_retransmission)
        assert len(buffer._held) < CAPACITY
        assert len(buffer.missing) < CAPACITY
        assert sum(len(held.payload) for held in buffer._held.values()) <= MAX_BYTES
        assert buffer.deadline_ns is None or buffer.deadline_ns <= now_ns + HOLD_NS
    assert [p.index for p in left] == sorted({p.index for p in left})
    left += buffer.give_up(now_ns + HOLD_NS)
    assert not buffer._held
    start = left[-1].index + 1000  # none of these has come before
    fresh = [p.sequence_number for n in range(CAPACITY + 2) for p in buffer.insert(packet(start + n), now_ns)]
    assert fresh == [(start + n) & 0xFFFF for n in range(CAPACITY + 2)]


@pytest.mark.parametrize("jump", [CAPACITY, 5_000, -CAPACITY - 2, -5_000, 0x8000])
def test_two_packets_in_a_row_far_from_the_others_prove_a_restart(jump: int) -> None:
    buffer = JitterBuffer(hold_ns=HOLD_NS, capacity=CAPACITY)
    assert len(buffer.insert(packet(7), 0)) == 1
    assert buffer.insert(packet(9), 0) == []
    assert buffer.insert(packet(10 + jump), 0) == []
    assert [*buffer.missing] == [0x10000 + 8]
    left = buffer.insert(packet(11 + jump), 0)
    assert [p.sequence_number for p in left] == [n & 0xFFFF for n in (9, 10 + jump, 11 + jump)]
    assert (buffer.lost, buffer.missing) == (1, {})
    assert [p.sequence_number for p in buffer.insert(packet(12 + jump), 0)] == [12 + jump & 0xFFFF]


def test_a_gap_as_wide_as_the_buffer_is_the_first_that_may_be_a_restart() -> None:
    def after(jump: int) -> JitterBuffer:
        buffer = JitterBuffer(hold_ns=HOLD_NS, capacity=CAPACITY)
        buffer.insert(packet(0), 0)
        buffer.insert(packet(1 + jump), 0)
        return buffer

    assert (len(after(CAPACITY - 1).missing), len(after(CAPACITY - 1)._held)) == (CAPACITY - 1, 1)
    assert (len(after(CAPACITY).missing), len(after(CAPACITY)._held)) == (0, 0)


@pytest.mark.parametrize("behind", [CAPACITY + 1, 3_000, 30_000, 40_000])
def test_a_single_packet_from_far_away_is_late_and_changes_nothing(behind: int) -> None:
    """A packet given up long ago comes after all, and more than once; what is in order leaves between."""
    buffer = JitterBuffer(hold_ns=HOLD_NS, capacity=CAPACITY)
    left = [p for n in range(100) for p in buffer.insert(packet(n), 0)]
    for number in (100, 101, 102):
        assert buffer.insert(packet(number - behind), 0) == []
        left += buffer.insert(packet(number), 0)
    assert [p.sequence_number for p in left] == [*range(103)]
    assert buffer.lost == 0


def test_retransmissions_never_prove_a_restart() -> None:
    buffer = JitterBuffer(hold_ns=HOLD_NS, capacity=CAPACITY)
    buffer.insert(packet(10_000), 0)
    for number in range(20):
        assert buffer.insert(packet(number), 0, is_retransmission=True) == []
    assert len(buffer.insert(packet(10_001), 0)) == 1


@pytest.mark.parametrize(("size", "held"), [(0, CAPACITY - 1), (MAX_BYTES // 8, 8)])
def test_a_full_buffer_gives_up_the_oldest_gap_and_keeps_what_came(size: int, held: int) -> None:
    buffer = JitterBuffer(hold_ns=HOLD_NS, capacity=CAPACITY, max_bytes=MAX_BYTES)
    buffer.insert(packet(0), 0)
    for number in range(2, 2 + held):
        assert buffer.insert(packet(number, size), 0) == []
    assert buffer.lost == 0
    left = buffer.insert(packet(2 + held, size), 0)
    assert [p.sequence_number for p in left] == [*range(2, 3 + held)]
    assert (buffer.lost, buffer.missing) == (1, {})


def test_a_given_up_packet_that_arrives_is_late() -> None:
    buffer = JitterBuffer(hold_ns=HOLD_NS)
    buffer.insert(packet(1), 0)
    buffer.insert(packet(3), 10)
    assert buffer.give_up(10 + HOLD_NS - 1) == []
    assert [p.sequence_number for p in buffer.give_up(10 + HOLD_NS)] == [3]
    assert buffer.insert(packet(2), 10 + HOLD_NS) == []
    assert buffer.lost == 1
