"""When the screen is still: a machine, with time handed in."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamer.watch.change import THRESHOLD, Blocks, Look, Mask, Reference
from streamer.watch.region import Region
from streamer.watch.still import Need, Stillness

MS = 1_000_000
QUIET = 300 * MS
START = 1_000_000 * MS
LIMIT_MS = 20_000
SIZE = (160, 320)
CHANGED: Mask = np.ones((20, 10), np.bool_)


@dataclass
class Screen:
    """A phone, its network and its watcher, in milliseconds; `run_until` drives the machine as its driver does."""

    still: Stillness = field(default_factory=lambda: Stillness(QUIET, START))
    round_trip_ms: int = 40
    answers: bool = True
    is_compared: bool = True
    is_missing: bool = False
    now_ms: int = 0
    keyframes: int = 0
    asked: list[int] = field(default_factory=list)
    still_at_ms: int | None = None

    def frame(self, at_ms: int, *, changed: bool, late_ms: int = 0, follows_loss: bool = False) -> None:
        """A frame that the phone made at `at_ms` comes `late_ms` later."""
        self.run_until(at_ms + late_ms)
        self.still.receive(
            Look(
                rtp_time=90 * at_ms,
                arrival_ns=START + (at_ms + late_ms) * MS,
                size=SIZE,
                is_first=self.still.newest is None,
                changed=CHANGED if changed else None,
                follows_loss=follows_loss,
            )
        )
        self._note()

    def run_until(self, at_ms: int) -> None:
        while self.now_ms < at_ms:
            deadline_ns = self.still.deadline_ns
            if deadline_ns is not None and deadline_ns <= START + self.now_ms * MS:
                self._poll()
            self.now_ms += 1
            self._note()

    def has_rested(self) -> bool:
        return self.still_at_ms is not None

    def _poll(self) -> None:
        need = self.still.poll(START + self.now_ms * MS, is_compared=self.is_compared, is_missing=self.is_missing)
        if need is Need.KEYFRAME:
            self.keyframes += 1
        if need is Need.ANSWER:
            self.asked.append(self.now_ms)
            asked_ns = START + self.now_ms * MS
            self.still.answer(asked_ns, asked_ns + self.round_trip_ms * MS, came=self.answers)

    def _note(self) -> None:
        if self.still.is_still and self.still_at_ms is None:
            self.still_at_ms = self.now_ms


def test_without_a_frame_nothing_is_still() -> None:
    screen = Screen()
    screen.run_until(LIMIT_MS)
    assert not screen.has_rested()


def test_a_screen_without_frames_is_still_after_the_quiet_and_an_answer() -> None:
    screen = Screen()
    screen.frame(100, changed=True)
    screen.run_until(1000)
    assert screen.asked == [400]
    assert screen.still_at_ms is not None
    assert 400 + screen.round_trip_ms <= screen.still_at_ms <= 400 + screen.round_trip_ms + 30


def test_frames_that_do_not_differ_prove_the_quiet_by_the_clock_of_the_phone() -> None:
    screen = Screen(answers=False)
    screen.frame(100, changed=True)
    for at_ms in range(133, 600, 33):
        screen.frame(at_ms, changed=False, late_ms=20)
    assert screen.still_at_ms == 430 + 20  # the first that is 300 ms after the reference


@given(gaps=st.lists(st.integers(1, 299), min_size=1, max_size=60))
def test_while_frames_change_within_the_quiet_nothing_is_still(gaps: list[int]) -> None:
    screen, at_ms = Screen(), 100
    for gap in gaps:
        screen.frame(at_ms, changed=True)
        at_ms += gap
    screen.run_until(at_ms - 1)
    assert not screen.has_rested()
    screen.run_until(at_ms + 1000)
    assert screen.still_at_ms is not None
    assert screen.still_at_ms >= at_ms - gaps[-1] + 300


@given(st.lists(st.tuples(st.integers(1, 400), st.booleans(), st.integers(0, 200), st.booleans()), max_size=40))
def test_a_still_screen_has_not_moved_for_the_quiet_whatever_comes(
    frames: list[tuple[int, bool, int, bool]],
) -> None:
    screen, at_ms, last_change_ms, last_late_ms = Screen(), 0, 0, 0
    for gap, changed, delay_ms, follows_loss in frames:
        at_ms += gap
        late_ms = max(delay_ms, last_late_ms - gap)  # frames keep their order
        screen.frame(at_ms, changed=changed, late_ms=late_ms, follows_loss=follows_loss)
        last_late_ms = late_ms
        if changed or follows_loss or last_change_ms == 0:
            last_change_ms = at_ms
        if screen.still.is_still:
            assert at_ms - last_change_ms >= 300


def test_a_quiet_from_before_the_wait_does_not_count() -> None:
    screen = Screen()
    screen.still.receive(Look(rtp_time=0, arrival_ns=START - 60_000 * MS, size=SIZE, is_first=True))
    screen.run_until(20)
    screen.still.receive(Look(rtp_time=90 * 60_020, arrival_ns=START + 20 * MS, size=SIZE))
    assert not screen.still.is_still
    screen.run_until(1000)
    assert screen.still_at_ms is not None
    assert 300 <= screen.still_at_ms <= 400


def test_a_quiet_from_before_the_end_of_an_action_does_not_count() -> None:
    screen = Screen()
    screen.frame(0, changed=False)
    screen.frame(20, changed=True)  # a finger went down
    screen.frame(800, changed=False)
    assert screen.still.is_still
    screen.still.begin_again(START + 1000 * MS)  # it went up
    screen.still_at_ms = None
    screen.run_until(1200)
    assert not screen.has_rested()
    screen.frame(1250, changed=True)  # so late is the answer
    screen.run_until(1549)
    assert not screen.has_rested()
    screen.run_until(3000)
    assert screen.has_rested()


def test_a_stalled_network_is_not_a_still_screen() -> None:
    screen = Screen(answers=False)
    screen.frame(100, changed=True)
    screen.run_until(2100)
    assert not screen.has_rested()
    assert len(screen.asked) > 1


def test_after_a_stall_a_keyframe_is_requested_and_the_quiet_counts_again() -> None:
    screen = Screen(answers=False)
    screen.frame(100, changed=True)
    screen.run_until(2100)
    screen.answers = True
    screen.run_until(4000)
    assert screen.keyframes == 1
    assert screen.still_at_ms is not None
    assert screen.still_at_ms >= 2100 + 300


def test_a_change_that_was_lost_in_a_stall_comes_with_the_keyframe() -> None:
    screen = Screen(answers=False)
    screen.frame(100, changed=True)
    screen.run_until(2100)
    screen.answers = True
    while not screen.keyframes:
        screen.run_until(screen.now_ms + 1)
    began_ms = screen.now_ms
    screen.frame(began_ms + 30, changed=True)
    screen.run_until(4000)
    assert screen.still_at_ms is not None
    assert screen.still_at_ms >= began_ms + 330


def test_a_lost_last_packet_is_not_a_still_screen_and_a_keyframe_is_requested_once() -> None:
    screen = Screen()
    screen.frame(100, changed=True)
    screen.is_missing = True
    screen.run_until(3000)
    assert not screen.has_rested()
    assert screen.keyframes == 1
    screen.is_missing = False
    screen.frame(3000, changed=True)  # the keyframe
    screen.run_until(4000)
    assert screen.still_at_ms is not None
    assert screen.still_at_ms >= 3300


def test_frames_that_wait_for_the_decoder_are_not_a_still_screen() -> None:
    screen = Screen(is_compared=False)
    screen.frame(100, changed=True)
    screen.run_until(3000)
    assert not screen.has_rested()
    assert screen.keyframes == 0


def test_frames_lost_on_the_way_begin_the_quiet_again() -> None:
    screen = Screen()
    screen.frame(100, changed=True)
    screen.frame(350, changed=False, follows_loss=True)
    screen.frame(420, changed=False)
    assert not screen.has_rested()


class Compared:
    """Frames of plain blocks that are compared and given to the machine, at a rate, until it is still."""

    def __init__(self, *, ignore: tuple[Region, ...] = (), fps: int = 30) -> None:
        self._reference = Reference(ignore=ignore)
        self._screen = Screen(answers=True)
        self._fps = fps
        self._count = 0

    def show(self, blocks: Blocks) -> bool:
        """Show a frame; return whether the screen is still."""
        at_ms = self._count * 1000 // self._fps
        self._count += 1
        self._screen.run_until(at_ms)
        look = self._reference.compare(blocks, SIZE, rtp_time=90 * at_ms, arrival_ns=START + at_ms * MS)
        self._screen.still.receive(look)
        return self._screen.still.is_still


def plain(level: int = 100) -> Blocks:
    return np.full((3, 20, 10), level, np.uint8)


def test_a_fade_of_one_level_a_frame_is_not_still() -> None:
    for fps in (30, 60):
        compared = Compared(fps=fps)
        assert not any(compared.show(plain(level)) for level in range(20, 230))


def test_a_fade_by_less_than_the_threshold_within_the_quiet_is_not_seen() -> None:
    compared = Compared(fps=10)
    assert any(compared.show(plain(level)) for level in range(100, 100 + THRESHOLD))


def test_a_caret_fits_between_two_blinks_and_never_within_a_longer_quiet() -> None:
    with_caret = plain()
    with_caret[0, 3, 3] += 25  # two pixels of 16, at full contrast
    short, long = Compared(), Compared()
    long._screen.still = Stillness(600 * MS, START)
    blinks = [with_caret if count // 15 % 2 else plain() for count in range(300)]
    assert any(short.show(blocks) for blocks in blinks)
    assert not any(long.show(blocks) for blocks in blinks)


def test_a_masked_clock_is_still() -> None:
    masked, unmasked = Compared(ignore=(Region.STATUS_BAR,)), Compared()
    masked_saw, unmasked_saw = [], []
    for count in range(120):
        blocks = plain()
        blocks[0, 0, count % 10] = 200
        masked_saw.append(masked.show(blocks))
        unmasked_saw.append(unmasked.show(blocks))
    assert any(masked_saw)
    assert not any(unmasked_saw)


def test_recent_movement_is_reported() -> None:
    still = Stillness(QUIET, START)
    early, late = np.zeros((20, 10), np.bool_), np.zeros((20, 10), np.bool_)
    early[0, 0] = late[5, 5] = True
    still.receive(Look(rtp_time=0, arrival_ns=START, size=SIZE, is_first=True))
    assert still.moving(START) == ()
    still.receive(Look(rtp_time=90, arrival_ns=START + MS, size=SIZE, changed=early))
    still.receive(Look(rtp_time=90 * 1500, arrival_ns=START + 1500 * MS, size=SIZE, changed=late))
    assert still.moving(START + 1600 * MS) == (Region(80, 80, 16, 16),)
