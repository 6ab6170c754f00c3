"""The jitter buffer, against a plain model of its own description."""

from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamer.media.jitter import JitterBuffer
from streamer.media.rtp import RtpPacket

CAPACITY = 64
HOLD_NS = 100


def packet(sequence_number: int) -> RtpPacket:
    return RtpPacket(96, False, sequence_number & 0xFFFF, 0, 1, b"", 0)


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
@settings(deadline=None, max_examples=300)
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
        assert (buffer.lost, buffer.late, buffer.restarts) == (model.lost, model.late, 0)


@given(arrivals, st.integers(0, 0xFFFF))
@settings(deadline=None, max_examples=300)
def test_indices_leave_in_rising_order_and_everything_that_came_in_time_has_left_after_the_hold_time(
    steps: list[tuple[int, int]], first: int
) -> None:
    """The law: indices rise strictly, so nothing leaves twice; in the end what came is what left and what was late."""
    buffer = JitterBuffer(hold_ns=HOLD_NS)
    released: list[RtpPacket] = []
    inserted = 0
    for number, now_ns in numbers_of(steps, first):
        released += buffer.give_up(now_ns)
        released += buffer.insert(packet(number), now_ns)
        inserted += 1
    released += buffer.give_up(1 << 60)
    assert buffer.deadline_ns is None
    assert inserted == len(released) + buffer.late
    indices = [p.index for p in released]
    assert indices == sorted(set(indices))
    assert all(p.index & 0xFFFF == p.sequence_number for p in released)
    assert indices[-1] - indices[0] + 1 == len(indices) + buffer.lost


@given(st.integers(0, 0xFFFF), st.permutations(range(1, 24)))
@settings(deadline=None)
def test_without_loss_everything_leaves_in_order_and_no_gap_is_given_up(first: int, order: list[int]) -> None:
    """The law: any reordering that is shorter than the hold time is invisible behind the buffer."""
    buffer = JitterBuffer(hold_ns=HOLD_NS, capacity=CAPACITY)
    left = buffer.insert(packet(first), 0)
    for now_ns, number in enumerate(order):
        left += buffer.insert(packet(first + number), now_ns)
        left += buffer.give_up(now_ns)
    assert [p.sequence_number for p in left] == [(first + number) & 0xFFFF for number in range(24)]
    assert (buffer.lost, buffer.late, buffer.restarts) == (0, 0, 0)


@given(st.lists(st.integers(0, 0xFFFF) | st.integers(0, 99), min_size=1, max_size=200), st.integers(0, 20))
@settings(deadline=None)
def test_whatever_comes_the_buffer_stays_bounded_and_goes_on(numbers: list[int], wait_ns: int) -> None:
    """The law: for any sequence numbers at all, no more than `capacity` is held or missing; then a stream flows."""
    buffer = JitterBuffer(hold_ns=HOLD_NS, capacity=CAPACITY)
    now_ns = held = 0
    for number in numbers:
        now_ns += wait_ns
        restarts, late = buffer.restarts, buffer.late
        left = len(buffer.insert(packet(number), now_ns))
        held = 0 if buffer.restarts > restarts else held + 1 - left - (buffer.late - late)
        assert held < CAPACITY
        assert len(buffer.missing) < CAPACITY
        assert buffer.deadline_ns is None or buffer.deadline_ns <= now_ns + HOLD_NS
    buffer.give_up(now_ns + HOLD_NS)
    start = numbers[-1] + 1000
    fresh = [p.sequence_number for n in range(CAPACITY + 2) for p in buffer.insert(packet(start + n), now_ns)]
    assert fresh[-1] == (start + CAPACITY + 1) & 0xFFFF


def test_a_gap_as_wide_as_the_buffer_is_the_first_that_starts_anew() -> None:
    def after(jump: int) -> JitterBuffer:
        buffer = JitterBuffer(hold_ns=HOLD_NS, capacity=CAPACITY)
        buffer.insert(packet(0), 0)
        buffer.insert(packet(2), 0)
        buffer.insert(packet(1 + jump), 0)
        return buffer

    assert (after(CAPACITY - 1).restarts, len(after(CAPACITY - 1).missing)) == (0, CAPACITY - 2)
    restarted = after(CAPACITY)
    assert (restarted.restarts, restarted.lost, restarted.missing) == (1, 1, {})
    assert [p.sequence_number for p in restarted.insert(packet(CAPACITY + 2), 0)] == [CAPACITY + 2]


def test_a_packet_given_up_that_comes_after_all_is_late() -> None:
    buffer = JitterBuffer(hold_ns=HOLD_NS)
    buffer.insert(packet(1), 0)
    buffer.insert(packet(3), 10)
    assert buffer.give_up(10 + HOLD_NS - 1) == []
    assert [p.sequence_number for p in buffer.give_up(10 + HOLD_NS)] == [3]
    assert buffer.insert(packet(2), 10 + HOLD_NS) == []
    assert (buffer.lost, buffer.late) == (1, 1)
