"""The same twenty steps, with `streamer.sync`."""

import contextlib
from collections.abc import Iterator

import streamer
from streamer import emulator, sync
from tests.steps import phone as at
from tests.steps.phone import LIMIT_S, check_answer, count, difference


class Steps:
    """The steps, one after the other: each begins on the screen that the one before it left."""

    def __init__(self, phone: sync.Session, emulated: emulator.EmulatedPhone) -> None:
        self.phone = phone
        self.emulated = emulated
        self.inputs = at.Inputs(emulated)
        self.step = ""  # the one that runs

    def run(self) -> None:
        """Take all steps. An error has a note that names its step."""
        with self._named():
            for take in STEPS:
                self.step = take.__name__
                take(self)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            error.add_note(f"in the step {self.step}")
            raise

    def wait_until_the_launcher_is_still(self) -> None:
        frame = self.phone.wait_until_still(timeout_s=LIMIT_S)
        assert (frame.width, frame.height) == (at.WIDTH, at.HEIGHT)
        self.phone.wait_for_color(*at.BESIDE_THE_S, timeout_s=LIMIT_S)
        assert self.emulated.app_in_front == at.LAUNCHER

    def open_sign_in(self) -> None:
        check_answer(self.phone.watched.tap(*at.SIGN_IN_ICON).settled(timeout_s=LIMIT_S))
        self.phone.wait_for_color(*at.SUBMIT_BUTTON, timeout_s=LIMIT_S)
        self.phone.wait_until_still(timeout_s=LIMIT_S)
        assert self.emulated.app_in_front == at.SIGN_IN

    def tap_a_field(self) -> None:
        check_answer(self.phone.watched.tap(*at.EMAIL).settled(timeout_s=LIMIT_S))
        self.phone.wait_for_color(*at.BESIDE_THE_A, at.KEYBOARD, timeout_s=LIMIT_S)

    def type_half_an_address(self) -> None:
        self.inputs.clear()
        shown = self.phone.watched.type("ann").settled(region=at.EMAIL_FIELD, timeout_s=LIMIT_S)
        assert shown.frames >= 1
        assert self.inputs.keys() == 3

    def go_back_to_put_the_keyboard_away(self) -> None:
        check_answer(self.phone.watched.press("BACK").settled(timeout_s=LIMIT_S))
        self.phone.wait_for_color(*at.BESIDE_THE_A, at.PAGE, timeout_s=LIMIT_S)
        assert self.emulated.app_in_front == at.SIGN_IN

    def see_the_validation_message(self) -> None:
        check_answer(self.phone.watched.tap(*at.SUBMIT).settled(timeout_s=LIMIT_S))
        self.phone.wait_for(lambda frame: count(frame, at.RED, at.EMAIL_FIELD) > 200, timeout_s=LIMIT_S)
        self.phone.wait_for(lambda frame: count(frame, at.RED, at.PASSWORD_FIELD) > 200, timeout_s=LIMIT_S)

    def correct_the_address(self) -> None:
        self.phone.watched.tap(*at.EMAIL).settled(timeout_s=LIMIT_S)
        self.phone.type("@example.com")
        self.phone.wait_for(lambda frame: count(frame, at.RED, at.EMAIL_FIELD) == 0, timeout_s=LIMIT_S)

    def sign_in(self) -> None:
        self.phone.watched.tap(*at.PASSWORD).settled(timeout_s=LIMIT_S)
        self.phone.type("secret\n")
        self.phone.wait_for(lambda frame: count(frame, at.GREEN, at.FORM) > 50, timeout_s=LIMIT_S)
        frame = self.phone.wait_until_still(timeout_s=LIMIT_S)
        assert count(frame, at.RED, at.FORM) == 0

    def go_home(self) -> None:
        check_answer(self.phone.watched.press("HOME").settled(timeout_s=LIMIT_S))
        self.phone.wait_for_color(*at.BESIDE_THE_S, timeout_s=LIMIT_S)
        self.phone.wait_until_still(timeout_s=LIMIT_S)
        assert self.emulated.app_in_front == at.LAUNCHER

    def open_settings(self) -> None:
        check_answer(self.phone.watched.tap(*at.SETTINGS_ICON).settled(timeout_s=LIMIT_S))
        self.phone.wait_for_color(*at.WIFI_SWITCH, timeout_s=LIMIT_S)
        self.phone.wait_for_color(*at.BAR, at.WHITE, timeout_s=LIMIT_S)
        self.top = self.phone.wait_until_still(timeout_s=LIMIT_S)
        assert self.emulated.app_in_front == at.SETTINGS

    def swipe_up(self) -> None:
        shown = self.phone.watched.swipe("up").settled(region=at.LIST, timeout_s=LIMIT_S)
        check_answer(shown)
        self.phone.wait_for(lambda frame: difference(self.top, frame, at.LIST) > 3, timeout_s=LIMIT_S)

    def swipe_back(self) -> None:
        off: list[float] = []
        while len(off) < 10:  # how far a fling goes depends on how steadily the finger's moves came
            shown = self.phone.watched.swipe("down").settled(region=at.LIST, timeout_s=LIMIT_S)
            off.append(difference(self.top, shown.frame, at.LIST))
            if off[-1] < 2:
                return
        raise AssertionError(f"expected the list at its top, got frames that differ from it by {off}")

    def start_the_canvas(self) -> None:
        self.phone.apps.start(at.CANVAS)
        self.phone.wait_for_color(*at.MIDDLE, at.WHITE, timeout_s=LIMIT_S)
        self.paper = self.phone.wait_until_still(timeout_s=LIMIT_S)
        assert self.emulated.app_in_front == at.CANVAS

    def double_tap(self) -> None:
        self.inputs.clear()
        check_answer(self.phone.watched.double_tap(*at.MIDDLE).settled(timeout_s=LIMIT_S))
        assert self.inputs.touches() == [("down", 0), ("up", 0)] * 2
        self.phone.wait_for(lambda frame: 10 < count(frame, at.BLUE, at.PAPER) < 100, timeout_s=LIMIT_S)

    def long_press(self) -> None:
        self.inputs.clear()
        check_answer(
            self.phone.watched.long_press(100, 200, duration_s=1.0).settled(region=at.PAPER, timeout_s=LIMIT_S)
        )
        assert self.inputs.touches() == [("down", 0), ("up", 0)]
        around = streamer.Region(60, 160, 80, 80)
        self.phone.wait_for(lambda frame: 5 < count(frame, at.BLUE, around) < 100, timeout_s=LIMIT_S)

    def hold_a_finger(self) -> None:
        ring = streamer.Region(220, 160, 80, 80)
        with self.phone.finger() as finger:
            finger.down(260, 200)
            self.phone.wait_for(lambda frame: count(frame, at.BLUE, ring) > 200, timeout_s=LIMIT_S)
        self.phone.wait_for(lambda frame: count(frame, at.BLUE, ring) < 100, timeout_s=LIMIT_S)

    def pinch(self) -> None:
        self.inputs.clear()
        shown = self.phone.watched.pinch(at.MIDDLE, scale=0.5).settled(region=at.PAPER, timeout_s=LIMIT_S)
        assert sorted(self.inputs.touches()) == [("down", 0), ("down", 1), ("up", 0), ("up", 1)]
        check_answer(shown)
        self.phone.wait_for(lambda frame: count(frame, at.GREEN, at.PAPER) > 10, timeout_s=LIMIT_S)
        self.drawn = self.phone.wait_until_still(timeout_s=LIMIT_S)

    def see_a_toast(self) -> None:
        self.go_home()
        self.phone.watched.tap(*at.NOTICES_ICON).settled(timeout_s=LIMIT_S)
        self.phone.wait_for_color(*at.BAR, at.WHITE, timeout_s=LIMIT_S)
        self.phone.wait_until_still(timeout_s=LIMIT_S)
        assert self.emulated.app_in_front == at.NOTICES
        self.phone.tap(*at.TOAST_BUTTON)
        self.phone.wait_for_color(*at.TOAST, timeout_s=LIMIT_S)
        self.phone.wait_for_color(*at.TOAST[:2], at.PAGE, timeout_s=LIMIT_S)

    def dismiss_a_dialog(self) -> None:
        before = self.phone.wait_until_still(timeout_s=LIMIT_S)
        self.phone.watched.tap(*at.DIALOG_BUTTON).settled(timeout_s=LIMIT_S)
        self.phone.wait_for_color(*at.DELETE_BUTTON, timeout_s=LIMIT_S)
        self.phone.watched.tap(*at.CANCEL_BUTTON).settled(timeout_s=LIMIT_S)
        self.phone.wait_for(lambda frame: difference(before, frame, at.LIST) < 2, timeout_s=LIMIT_S)

    def go_to_a_recent_app_and_stop_it(self) -> None:
        self.phone.watched.press("APP_SWITCH").settled(timeout_s=LIMIT_S)
        self.phone.wait_for_color(*at.SECOND_ICON, timeout_s=LIMIT_S)
        self.phone.wait_until_still(timeout_s=LIMIT_S)
        self.phone.watched.tap(*at.SECOND_CARD).settled(timeout_s=LIMIT_S)
        self.phone.wait_for(lambda frame: difference(self.drawn, frame, at.PAPER) < 2, timeout_s=LIMIT_S)
        assert self.emulated.app_in_front == at.CANVAS
        self.phone.apps.stop(at.CANVAS)
        self.phone.wait_for_color(*at.BESIDE_THE_S, timeout_s=LIMIT_S)
        assert self.emulated.app_in_front == at.LAUNCHER


STEPS = (
    Steps.wait_until_the_launcher_is_still,
    Steps.open_sign_in,
    Steps.tap_a_field,
    Steps.type_half_an_address,
    Steps.go_back_to_put_the_keyboard_away,
    Steps.see_the_validation_message,
    Steps.correct_the_address,
    Steps.sign_in,
    Steps.go_home,
    Steps.open_settings,
    Steps.swipe_up,
    Steps.swipe_back,
    Steps.start_the_canvas,
    Steps.double_tap,
    Steps.long_press,
    Steps.hold_a_finger,
    Steps.pinch,
    Steps.see_a_toast,
    Steps.dismiss_a_dialog,
    Steps.go_to_a_recent_app_and_stop_it,
)


def take_steps(emulated: emulator.EmulatedPhone) -> None:
    """Connect to the phone, bring it to its launcher, and take all steps."""
    with sync.connect(
        emulated.instance_id, endpoint=emulated.endpoint, credentials=streamer.Token(emulated.tenant_token)
    ) as phone:
        Steps(phone, emulated).run()
