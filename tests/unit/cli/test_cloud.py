from typing import Any

import pytest
import typer

from streamer.cli.cloud import check_action

INSTALL: dict[str, Any] = {"url": "https://obs.example.com/a.apk", "app_version": "1", "size_mb": 1.0}


@pytest.mark.parametrize(
    ("action", "package", "details"),
    [
        ("list", None, {}),
        ("list", None, {"only": "system"}),
        ("start", "com.example.shop", {"activity": None}),
        ("start", "com.example.shop", {"activity": ".Main"}),
        ("stop", "com.example.shop", {}),
        ("grant", "com.example.shop", {"permission": "android.permission.CAMERA"}),
        ("install", "com.example.shop", INSTALL),
    ],
)
def test_an_action_with_its_arguments_is_accepted(action: str, package: str | None, details: dict[str, Any]) -> None:
    check_action(action, package, details)


@pytest.mark.parametrize(
    ("action", "package", "details", "words"),
    [
        ("open", None, {}, "expected list, start, stop, clear, grant, install or uninstall, got open"),
        ("start", None, {}, "expected a package to start, such as com.example.shop, got none"),
        ("list", "com.example.shop", {}, "expected no package with list, got com.example.shop"),
        ("stop", "com.example.shop", {"activity": ".Main"}, "stop does not take it"),
        ("grant", "com.example.shop", {"permission": None}, "grant needs it"),
        ("install", "com.example.shop", {**INSTALL, "size_mb": None}, "install needs it"),
    ],
)
def test_an_action_without_its_arguments_says_what_is_missing(
    action: str, package: str | None, details: dict[str, Any], words: str
) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        check_action(action, package, details)
    assert caught.value.message == words
