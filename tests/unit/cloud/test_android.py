from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.cloud import android
from streamer.cloud.android import check_command
from streamer.errors import ConfigurationError

SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:- "


@given(st.text(SIGNS, min_size=1, max_size=1024).filter(str.strip))
def test_a_command_of_the_vendors_signs_passes_unchanged(command: str) -> None:
    assert check_command(command) == command


@given(st.text(SIGNS, max_size=20), st.characters(exclude_characters=SIGNS), st.text(max_size=20))
def test_any_other_sign_is_named_with_its_position(before: str, sign: str, after: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_command(before + sign + after)
    assert f"got {sign!a} at position {len(before) + 1}" in str(caught.value)
    assert str(caught.value).isascii()


def test_an_error_about_a_sign_shows_nothing_else_of_the_command() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_command("input text hunter2$")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("command", ["", " ", "   "])
def test_a_command_says_something(command: str) -> None:
    with pytest.raises(ConfigurationError, match="got nothing"):
        check_command(command)


def test_a_command_has_at_most_1024_bytes() -> None:
    check_command("x" * 1024)
    with pytest.raises(ConfigurationError, match="got 1025"):
        check_command("x" * 1025)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (
            android.start("com.example.shop", None),
            "monkey -p com.example.shop -c android.intent.category.LAUNCHER 1",
        ),
        (android.start("com.example.shop", ".Main"), "am start -n com.example.shop/.Main"),
        (android.start("com.example.shop", "com.example.Main"), "am start -n com.example.shop/com.example.Main"),
        (android.stop("com.example.shop"), "am force-stop com.example.shop"),
        (android.clear("com.example.shop"), "pm clear com.example.shop"),
        (
            android.grant("com.example.shop", "android.permission.CAMERA"),
            "pm grant com.example.shop android.permission.CAMERA",
        ),
        (android.uninstall("com.example.shop_2"), "pm uninstall com.example.shop_2"),
    ],
)
def test_an_action_is_one_command_that_the_api_carries(command: android.AppCommand, text: str) -> None:
    assert check_command(command.text) == text


@pytest.mark.parametrize(
    "package", ["", "shop", ".shop", "com.", "com..shop", "com.1shop", "com.a b", "com.a\n", "é.b"]
)
@pytest.mark.parametrize("action", [android.stop, android.clear, android.uninstall])
def test_an_invalid_package_is_refused(package: str, action: Callable[[str], object]) -> None:
    with pytest.raises(ConfigurationError, match=r"a package such as com\.example\.shop"):
        action(package)


@pytest.mark.parametrize("activity", ["", ".", "Main$Inner", ".Main -e", "a..b"])
def test_an_invalid_activity_is_refused(activity: str) -> None:
    with pytest.raises(ConfigurationError, match="an activity such as"):
        android.start("com.example.shop", activity)


def test_an_invalid_permission_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="a permission such as"):
        android.grant("com.example.shop", "android.permission.CAMERA com.other")


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (android.start("com.example.shop", None), "** No activities found to run, monkey aborted."),
        (
            android.start("com.example.shop", ".No"),
            "Starting: Intent { cmp=com.example.shop/.No }\nError type 3\nError: Activity class does not exist.\n",
        ),
        (android.clear("com.example.shop"), "Failed\n"),
        (android.clear("com.example.shop"), ""),
        (android.uninstall("com.example.shop"), "Failure [DELETE_FAILED_INTERNAL_ERROR]"),
        (android.grant("com.example.shop", "a.b"), "Exception occurred while executing 'grant':\njava.lang…"),
        (android.grant("com.example.shop", "a.b"), "java.lang.SecurityException: Package a has not requested b"),
    ],
)
def test_the_output_of_a_failed_android_tool_is_a_failure(command: android.AppCommand, output: str) -> None:
    assert command.has_failed(output)


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (android.start("com.example.shop", None), "Events injected: 1\n## Network stats: elapsed time=5ms"),
        (android.start("com.example.Error", ".Main"), "Starting: Intent { cmp=com.example.Error/.Main }"),
        (android.stop("com.example.shop"), ""),
        (android.clear("com.example.shop"), "Success\n"),
        (android.uninstall("com.example.shop"), "Success"),
        (android.grant("com.example.shop", "a.b"), ""),
    ],
)
def test_other_output_of_android_tools_is_no_failure(command: android.AppCommand, output: str) -> None:
    assert not command.has_failed(output)


@pytest.mark.parametrize(
    ("output", "value"), [("1.0\n", "1.0"), ("0", "0"), ("0.5", "0.5"), ("null\n", None), ("", None), ("-1", None)]
)
def test_a_scale_is_a_number_or_the_default(output: str, value: str | None) -> None:
    assert android.read_scale(output) == value


@pytest.mark.parametrize("value", ["0", "0.5", None])
def test_the_commands_about_scales_can_be_carried(value: str | None) -> None:
    for name in android.ANIMATION_SCALES:
        check_command(android.get_scale(name))
        check_command(android.set_scale(name, value))
