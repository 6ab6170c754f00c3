"""The sign-in of an app, tested on its screen. The last test finds a bug that the app has.

Install streamer with the extras `pytest` and `ocr`, then:

    pytest examples/ui_test

Without more, it runs on an emulator. `--phone-instance ID` names a phone of yours.
"""

import pytest

from streamer.sync import Session, expect

pytestmark = pytest.mark.phone(app="com.example.signin", reset="app")


def sign_in(phone: Session, email: str, password: str) -> None:
    with phone.step(f"sign in as {email}"):
        phone.get_by_text("E-mail").tap()
        phone.type(email)
        phone.press("ENTER")  # goes on to the next field
        phone.type(password)
        phone.press("ENTER")


def test_a_user_signs_in(phone: Session) -> None:
    sign_in(phone, "ann@example.com", "open sesame")
    expect(phone.get_by_text("Welcome, Ann")).to_be_visible()
    expect(phone.get_by_text("Sign out")).to_be_visible()


def test_a_wrong_address_and_a_short_password_are_refused_with_a_hint(phone: Session) -> None:
    sign_in(phone, "ann", "123")
    expect(phone.get_by_text("Enter an e-mail address")).to_be_visible()
    expect(phone.get_by_text("Enter at least 4 characters")).to_be_visible()


def test_a_user_signs_out(phone: Session) -> None:
    sign_in(phone, "ann@example.com", "open sesame")
    phone.get_by_text("Sign out").tap()
    expect(phone.get_by_text("E-mail")).to_be_visible()
    expect(phone.get_by_text("Welcome")).to_be_hidden()


def test_a_long_name_is_shown_whole(phone: Session) -> None:
    sign_in(phone, "bartholomew.smith@example.com", "open sesame")
    expect(phone.get_by_text("Welcome, Bartholomew.smith")).to_be_visible()  # the app cuts names after 16 characters
