"""The apps of the emulator as a machine: what a person does, and what is then on the screen. No sockets, no clock."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.emulator.apps import Desktop, desktop, motion, notices, signin
from streamer.emulator.apps.paint import Image
from streamer.emulator.device import (
    BUILT_IN,
    LAUNCHER,
    Animations,
    Boot,
    Clear,
    DeviceEvent,
    Launch,
    LetGo,
    Package,
    Packages,
    Stop,
    Turn,
)
from streamer.emulator.input_frames import DOWN, MOVE, UP, Key, Point, Touch
from streamer.emulator.picture import Picture

FRAME_S = 1 / 30
BACK, HOME, RECENTS, SHIFT = 4, 3, 187, 59


class Person:
    """A user of a small phone, 360 dp wide: looks at it and touches it. Places are in dp."""

    def __init__(self, app: str = "", *, animations: bool = False) -> None:
        self.desktop = Desktop(180, 320, fps=30)
        self.now = 0.0
        self.desktop.receive(Animations(animations), self.now)
        if app:
            self.desktop.receive(Launch(package(app)), self.now)
        self.seen = self.look()

    def look(self) -> Image:
        """Draw the frame of now."""
        self.seen = self.desktop.draw(self.now)
        return self.seen

    def wait(self, seconds: float) -> list[float]:
        """Look at each frame until then; return when one changed, counted from now."""
        began, changes = self.now, []
        for number in range(1, round(seconds / FRAME_S) + 1):
            self.now = began + number * FRAME_S
            if self.desktop.has_changed(self.now):
                self.look()
                changes.append(self.now - began)
        return changes

    def finger(self, action: int, x: float, y: float, finger: int = 0) -> None:
        self.desktop.receive(Touch(action, (Point(finger, x / 360, y / 640),)), self.now)

    def tap(self, x: float, y: float) -> None:
        self.finger(DOWN, x, y)
        self.finger(UP, x, y)

    def swipe(self, begin: float, end: float, *, seconds: float = 0.15, hold_s: float = 0.0) -> None:
        self.finger(DOWN, 180, begin)
        for step in range(1, 11):
            self.now += seconds / 10
            self.finger(MOVE, 180, begin + (end - begin) * step / 10)
        self.now += hold_s
        self.finger(UP, 180, end)

    def press(self, code: int, modifiers: int = 0) -> None:
        self.desktop.receive(Key(DOWN, code, modifiers), self.now)
        self.desktop.receive(Key(UP, code, modifiers), self.now)

    def type(self, text: str) -> None:
        codes = {"@": 77, ".": 56, "\n": 66, "\t": 61}
        for each in text:
            self.press(codes.get(each) or (7 + int(each) if each.isdigit() else 29 + ord(each) - ord("a")))

    def color(self, x: float, y: float) -> tuple[int, ...]:
        return tuple(int(channel) for channel in self.look()[round(y / 2), round(x / 2)])


def package(label: str) -> Package:
    return next(each for each in BUILT_IN if each.label == label)


def same(one: Image, other: Image) -> bool:
    return bool((one == other).all())


@pytest.mark.parametrize("app", ["", *(each.label for each in BUILT_IN if each.label not in {"Launcher", "Player"})])
def test_a_screen_that_nobody_touches_is_still(app: str) -> None:
    person = Person(app)
    before = person.seen
    assert person.wait(2.0) == []
    assert same(before, person.look())


def test_the_player_never_rests_until_it_is_paused() -> None:
    person = Person("Player")
    assert len(person.wait(1.0)) == 30
    person.tap(180, 380)
    person.look()
    assert person.wait(1.0) == []


def test_an_icon_opens_its_app_and_back_closes_it() -> None:
    person = Person()
    person.tap(45, 130)
    assert person.desktop.in_front == "com.android.settings"
    person.press(BACK)
    assert person.desktop.in_front == LAUNCHER


def test_the_bar_below_goes_back_home_and_to_recent_apps() -> None:
    person = Person("Notices")
    person.tap(60, 620)
    assert person.desktop.in_front == LAUNCHER
    person.tap(300, 620)
    person.tap(180, 130)
    assert person.desktop.in_front == "com.example.notices"
    person.tap(180, 620)
    assert person.desktop.in_front == LAUNCHER


def test_an_app_that_comes_back_is_as_it_was_left() -> None:
    person = Person("Slow page")
    person.tap(180, 280)
    left = person.look()
    person.press(HOME)
    person.press(RECENTS)
    person.tap(180, 130)
    assert same(left, person.look())


def test_an_app_slides_in_and_touches_meanwhile_are_lost() -> None:
    person = Person(animations=True)
    person.tap(45, 130)
    changes = person.wait(1.0)
    assert 0.2 < changes[-1] < 0.3
    assert person.desktop.in_front == "com.android.settings"
    person.press(HOME)
    person.wait(2 * FRAME_S)
    person.tap(45, 130)
    assert person.desktop.in_front == LAUNCHER


def test_a_list_goes_on_after_a_swipe_and_comes_to_rest() -> None:
    person = Person("Settings")
    person.swipe(520, 320)
    person.look()
    changes = person.wait(4.0)
    assert 0.5 < changes[-1] < 3.0
    assert person.wait(1.0) == []


def test_a_list_that_is_held_before_it_is_let_go_rests_at_once() -> None:
    person = Person("Settings")
    person.swipe(520, 320, hold_s=0.2)
    person.look()
    assert person.wait(1.0) == []


def test_a_list_bounces_at_its_beginning() -> None:
    person = Person("Settings")
    first = person.seen
    person.swipe(200, 500, hold_s=0.2)
    assert not same(first, person.look())
    assert person.wait(1.5)
    assert same(first, person.look())


def test_fingers_that_nobody_lifts_any_more_leave_the_screen() -> None:
    person = Person("Settings")
    first = person.seen
    person.finger(DOWN, 180, 200)
    person.finger(MOVE, 180, 500)
    person.look()
    person.desktop.receive(LetGo(), person.now)
    assert person.wait(1.5)
    assert same(first, person.look())
    person.tap(180, 82 + 68 * 2.5)
    assert not same(first, person.look())


def test_a_switch_is_switched_and_a_swipe_switches_nothing() -> None:
    person = Person("Settings")
    person.tap(180, 82 + 68 * 2.5)
    switched = person.look()
    assert person.color(340 - 12, 82 + 68 * 2.5) == (255, 255, 255)
    person.swipe(300, 240, hold_s=0.2)
    person.swipe(240, 300, hold_s=0.2)
    person.wait(1.0)
    assert same(switched, person.look())


@pytest.mark.parametrize(("end", "scrolls"), [((300, 252), False), ((100, 100), True)])
def test_a_swipe_whose_moves_are_lost_is_no_tap(end: tuple[float, float], *, scrolls: bool) -> None:
    person = Person("Settings")
    before = person.seen
    person.finger(DOWN, 100, 252)
    person.now += 0.2
    person.finger(UP, *end)
    person.wait(1.0)
    assert same(before, person.look()) is not scrolls
    person.swipe(200, 500, hold_s=0.2)  # back to the beginning
    person.wait(1.5)
    assert same(before, person.look())


def test_turning_changes_the_frames_size_and_turning_again_gives_the_same_frame() -> None:
    person = Person("Settings")
    before = person.seen
    person.tap(180, 110)
    assert person.desktop.size == (320, 180)
    assert person.look().shape == (180, 320, 3)
    person.desktop.receive(Turn(), person.now)
    assert same(before, person.look())


def sign_in(person: Person, text: str) -> None:
    person.tap(180, 130)
    person.type(text)


def test_signing_in_takes_its_time_and_shows_who_it_is() -> None:
    person = Person("Sign in")
    sign_in(person, "ann@example.com\tsecret\n")
    waiting = person.look()
    assert person.wait(signin.CHECK_S + 0.1)
    assert not same(waiting, person.look())
    welcome = person.seen
    assert person.wait(1.0) == []
    other = Person("Sign in")
    sign_in(other, "bob@example.com\tsecret\n")
    other.wait(signin.CHECK_S + 0.1)
    assert not same(welcome, other.look())


@pytest.mark.parametrize("text", ["ann\tsecret\n", "ann@example.com\tabc\n", "\t\n", "@.\tsecret\n"])
def test_an_impossible_entry_is_refused_with_a_reason(text: str) -> None:
    person = Person("Sign in")
    sign_in(person, text)
    person.press(BACK)
    person.look()
    assert person.wait(2.0) == []
    red = (person.seen[..., 0] > 150) & (person.seen[..., 1] < 80)
    assert red.any()


def test_a_caret_blinks_while_a_field_has_the_focus() -> None:
    person = Person("Sign in")
    person.tap(180, 130)
    person.look()
    assert len(person.wait(3.0)) == 6
    person.press(BACK)
    person.look()
    assert person.wait(2.0) == []


def test_the_soft_keyboard_types_what_keys_type() -> None:
    by_keys, by_touch = Person("Sign in"), Person("Sign in")
    by_keys.tap(180, 130)
    by_touch.tap(180, 130)
    by_keys.type("a@")
    by_touch.tap(40, 598 - 206 + 2.5 * 41)
    by_touch.tap(25, 598 - 20)
    assert same(by_keys.look(), by_touch.look())


def test_shift_is_a_modifier_or_a_key_that_is_held() -> None:
    person, other, small = Person("Sign in"), Person("Sign in"), Person("Sign in")
    for each in (person, other, small):
        each.tap(180, 130)
    person.press(29, 1)
    other.desktop.receive(Key(DOWN, SHIFT), other.now)
    other.press(29)
    other.desktop.receive(Key(UP, SHIFT), other.now)
    small.press(29)
    assert same(person.look(), other.look())
    assert not same(person.look(), small.look())


@pytest.mark.parametrize(("y", "seconds"), [(172, notices.SHORT_S), (236, notices.LONG_S)])
def test_a_toast_goes_after_its_time(y: float, seconds: float) -> None:
    person = Person("Notices")
    before = person.seen
    person.tap(180, y)
    assert not same(before, person.look())
    (gone,) = person.wait(seconds + 0.5)
    assert seconds <= gone < seconds + 2 * FRAME_S
    assert same(before, person.look())


def test_a_dialog_takes_the_touches_until_it_is_answered() -> None:
    person = Person("Notices")
    before = person.look()
    person.tap(180, 300)
    asked = person.look()
    person.tap(180, 172)
    assert same(asked, person.look())
    person.press(BACK)
    assert same(before, person.look())
    person.tap(180, 300)
    person.tap(255, 350)
    assert person.wait(3.0)
    assert not same(before, person.look())


@pytest.mark.parametrize("place", range(5))
def test_the_slow_page_answers_as_late_as_the_pad_says(place: int) -> None:
    person = Person("Slow page")
    person.finger(DOWN, 180, 290 + 63 * place)
    (answered,) = [0.0] if person.desktop.has_changed(person.now) else person.wait(1.5)
    late = desktop.REACTIONS_MS[place] / 1000
    assert late <= answered < late + FRAME_S


@pytest.mark.parametrize(("y", "dropped"), [(390, 0), (448, 1), (506, 3)])
def test_a_dropped_frame_repeats_the_one_before_it(y: float, dropped: int) -> None:
    person = Person("Motion")
    person.tap(180, y)
    person.look()
    changes = [0.0, *person.wait(1.5)]
    gaps = np.round(np.diff(changes) / FRAME_S).astype(int).tolist()
    assert max(gaps) == 1 + dropped
    assert len(changes) == round(motion.LENGTH_S / FRAME_S) - dropped


def test_a_fade_is_one_level_a_frame() -> None:
    person = Person("Motion")
    person.tap(180, 564)
    picture = Picture(180, 320)
    levels = list[int]()
    for _ in range(21):
        person.desktop.draw_into(picture, person.now)
        levels.append(int(picture.planes[0][75, 30]))
        person.wait(FRAME_S)
    assert levels == list(range(levels[0], levels[0] - 21, -1))


def test_the_canvas_shows_every_finger() -> None:
    person = Person("Canvas")
    white = person.color(100, 300)
    person.finger(DOWN, 100, 300, 0)
    person.finger(DOWN, 250, 400, 1)
    person.finger(MOVE, 250, 450, 1)
    one, two = person.color(100, 320), person.color(250, 425)
    assert len({white, one, two}) == 3
    person.finger(UP, 100, 300, 0)
    person.finger(UP, 250, 450, 1)
    person.tap(310, 54)
    assert person.color(100, 300) == white


def test_an_installed_app_has_an_icon_that_opens_it() -> None:
    person = Person()
    person.desktop.receive(Packages((*BUILT_IN, Package(name="org.example.shop", label="Shop"))), person.now)
    person.tap(315, 234)
    assert person.desktop.in_front == "org.example.shop"
    before = person.look()
    person.tap(180, 82 + 175)
    assert not same(before, person.look())


def test_a_launcher_with_more_apps_than_fit_scrolls_to_the_last_one() -> None:
    person = Person()
    more = [Package(name=f"org.example.app{number}", label=f"App {number}") for number in range(33)]
    person.desktop.receive(Packages((*BUILT_IN, *more)), person.now)
    person.swipe(550, 50, seconds=0.1)
    person.wait(4.0)
    person.tap(315, 523)
    assert person.desktop.in_front == "org.example.app32"


@pytest.mark.parametrize("make", [Stop, Clear])
def test_an_app_that_was_ended_starts_from_its_beginning(make: Callable[[str], DeviceEvent]) -> None:
    person = Person("Slow page")
    fresh = person.look()
    person.tap(180, 290)
    person.desktop.receive(make("com.example.slow"), person.now)
    assert person.desktop.in_front == LAUNCHER
    person.desktop.receive(Launch(package("Slow page")), person.now)
    assert same(fresh, person.look())


def test_the_same_events_at_the_same_times_give_the_same_frames() -> None:
    def seen() -> list[Image]:
        person = Person(animations=True)
        person.tap(45, 130)
        person.wait(0.5)
        person.swipe(500, 200)
        frames = [person.look()]
        for code in (RECENTS, HOME):
            person.wait(0.5)
            person.press(code)
            frames.append(person.look())
        return frames

    assert all(same(one, other) for one, other in zip(seen(), seen(), strict=True))


PLACES = st.floats(-0.5, 1.5) | st.sampled_from([0.0, 0.5, 1.0])
TOUCHES = st.builds(
    lambda action, finger, x, y: Touch(action, (Point(finger, x, y),)),
    st.integers(0, 2),
    st.integers(0, 2),
    PLACES,
    PLACES,
)
CODES = st.sampled_from([HOME, BACK, RECENTS, SHIFT, 29, 66, 67, 61, 62, 77, 9999])
EVENTS = st.one_of(
    TOUCHES,
    TOUCHES,
    st.builds(Key, st.integers(0, 1), CODES, st.integers(0, 1)),
    st.builds(Launch, st.sampled_from(BUILT_IN)),
    st.builds(Clear, st.sampled_from([each.name for each in BUILT_IN])),
    st.builds(Animations, st.booleans()),
    st.sampled_from([Turn(), Boot(), LetGo(), Packages(BUILT_IN[:3]), Packages(BUILT_IN)]),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(EVENTS, st.sampled_from([0.0, 0.01, 0.04, 0.3, 2.0])), max_size=40))
def test_whatever_happens_the_screen_can_be_drawn_and_home_leads_to_the_launcher(
    events: list[tuple[DeviceEvent, float]],
) -> None:
    machine, now = Desktop(90, 160, fps=30), 0.0
    for event, later in events:
        now += later
        machine.receive(event, now)
        if later:
            width, height = machine.size
            assert machine.draw(now).shape == (height, width, 3)
            assert not machine.has_changed(now)
    machine.receive(Key(DOWN, HOME), now)
    assert machine.in_front == LAUNCHER
    machine.draw(now)
    now += 2 * desktop.TRANSITION_S
    first = machine.draw(now)
    now += 8.0
    rests = machine.draw(now)
    assert not machine.has_changed(now + 1.0)
    assert rests.shape == first.shape
