"""A form: two fields with a caret, a soft keyboard, checks, and a page behind it."""

from collections.abc import Hashable, Mapping
from typing import Final

from streamer.emulator.apps import keyboard
from streamer.emulator.apps.app import App, Stage
from streamer.emulator.apps.paint import ACCENT, DANGER, GOOD, INK, LINE, QUIET, Paint, Rect
from streamer.emulator.device import Package

CARET_S: Final = 0.5  # the caret is visible for so long, then invisible for as long
CHECK_S: Final = 0.8  # how long signing in takes
TEXT_LIMIT: Final = 64  # characters of a field; further ones are not taken
PASSWORD_LEAST: Final = 4
_FIELDS: Final = ("E-mail", "Password")


class SignIn(App):
    """Sign in with any e-mail address that could be one and any password of four characters."""

    title = "Sign in"

    def __init__(self, package: Package, stage: Stage) -> None:
        super().__init__(package, stage)
        self._texts = dict.fromkeys(_FIELDS, "")
        self._errors: dict[str, str] = {}
        self._focus = ""
        self._focused_at = 0.0
        self._is_upper = False
        self._checked_at: float | None = None

    def buttons(self) -> Mapping[str, Rect]:
        """Return the fields, the button below them, and the soft keyboard's keys."""
        stage = self.stage
        if self._checked_at is not None:
            return {"Sign out": Rect(20, stage.body + 130, stage.width - 40, 50)}
        is_low = stage.height < 420  # a landscape phone: both fields beside each other
        width = (stage.width - 56) / 2 if is_low else stage.width - 40
        places = [Rect(20, stage.body + 24, width, 50)]
        places.append(Rect(36 + width, places[0].y, width, 50) if is_low else Rect(20, places[0].y + 82, width, 50))
        below = places[1].y + 82
        buttons = dict(zip(_FIELDS, places, strict=True)) | {"Sign in": Rect(20, below, stage.width - 40, 50)}
        if not self._focus:
            return buttons
        keys = keyboard.keys(stage, is_upper=self._is_upper)
        visible = {name: rect for name, rect in buttons.items() if rect.y + rect.height < keyboard.top_of(stage)}
        return visible | {f"key {name}": rect for name, rect in keys.items()}

    def tap(self, name: str, now: float) -> None:
        """Go to a field, type by the soft keyboard, or press a button."""
        if name in _FIELDS:
            self._go_to(name, now)
        elif name == "Sign in":
            self._submit(now)
        elif name == "Sign out":
            self._checked_at, self._texts = None, dict.fromkeys(_FIELDS, "")
        elif name == "key shift":
            self._is_upper = not self._is_upper
        elif name.startswith("key "):
            self.write(name.removeprefix("key "), now)
            self._is_upper = False

    def write(self, text: str, now: float) -> None:
        """Type into the field that has the caret."""
        if not self._focus:
            return
        self._focused_at = now
        if text == "\n" and self._focus == _FIELDS[1]:
            self._submit(now)
        elif text in {"\n", "\t"}:
            self._go_to(_FIELDS[self._focus == _FIELDS[0]], now)
        else:
            typed = self._texts[self._focus]
            self._texts[self._focus] = typed[:-1] if text == "\b" else (typed + text)[:TEXT_LIMIT]
            self._errors.pop(self._focus, None)

    def back(self, now: float) -> bool:
        """Put the soft keyboard away."""
        had_focus, self._focus = self._focus, ""
        return bool(had_focus)

    def look(self, now: float) -> Hashable:
        """Return what is typed and where the caret is."""
        is_lit = bool(self._focus) and int((now - self._focused_at) / CARET_S) % 2 == 0
        is_checked = self._checked_at is not None and now >= self._checked_at + CHECK_S
        return (
            *(self.pressed, self._focus, is_lit, self._is_upper, self._checked_at is None, is_checked),
            *(tuple(self._texts.values()), tuple(self._errors.items())),
        )

    def draw(self, paint: Paint, now: float) -> None:
        """Draw the form, or what is behind it."""
        if self._checked_at is not None:
            self._draw_behind(paint, is_checked=now >= self._checked_at + CHECK_S)
            return
        for name in _FIELDS:
            self._draw_field(paint, name, now)
        self.draw_bar(paint)
        if "Sign in" in self.buttons():
            self.draw_button(paint, "Sign in", "Sign in")
        if self._focus:
            keyboard.draw(paint, self.stage, self.pressed.removeprefix("key "), is_upper=self._is_upper)

    def _draw_field(self, paint: Paint, name: str, now: float) -> None:
        rect, text = SignIn.buttons(self).get(name), self._texts[name]
        if rect is None:
            return
        error = self._errors.get(name, "")
        paint.outline(rect, DANGER if error else ACCENT if self._focus == name else LINE, 10)
        middle = rect.center[1]
        x = rect.x + 16
        if not text and self._focus != name:
            paint.text(x, middle, name, 17, QUIET)
        elif name == _FIELDS[0]:
            while text and paint.text_width(text, 17) > rect.width - 36:
                text = text[1:]
            paint.text(x, middle, text, 17)
            x += paint.text_width(text, 17)
        else:
            for _ in text[: int((rect.width - 36) / 11)]:
                paint.dot(x + 5, middle, 4, INK)
                x += 11
        if self._focus == name and int((now - self._focused_at) / CARET_S) % 2 == 0:
            paint.fill(Rect(x + 2, middle - 11, 2, 22), ACCENT)
        paint.text(rect.x + 4, rect.y + 63, error, 13, DANGER)

    def _draw_behind(self, paint: Paint, *, is_checked: bool) -> None:
        middle = self.stage.width / 2
        if is_checked:
            name = self._texts[_FIELDS[0]].partition("@")[0][:16].capitalize()
            paint.text(middle, self.stage.body + 56, f"Welcome, {name}", 26, INK, anchor="mm")
            paint.text(middle, self.stage.body + 92, "You are signed in.", 16, GOOD, anchor="mm")
            self.draw_button(paint, "Sign out", "Sign out", is_filled=False)
        else:
            paint.text(middle, self.stage.body + 56, "Signing in …", 20, QUIET, anchor="mm")
        self.draw_bar(paint, "Account" if is_checked else "")

    def _go_to(self, field: str, now: float) -> None:
        self._focus, self._focused_at = field, now

    def _submit(self, now: float) -> None:
        email, password = self._texts.values()
        name, at, domain = email.partition("@")
        self._errors = {}
        if not (name and at and "." in domain.strip(".")):
            self._errors["E-mail"] = "Enter an e-mail address, such as ann@example.com"
        if len(password) < PASSWORD_LEAST:
            self._errors["Password"] = f"Enter at least {PASSWORD_LEAST} characters"
        if not self._errors:
            self._focus, self._checked_at = "", now
