"""The options of `connect`, checked where they are put together."""

import math
from typing import Any, Final

import pytest

import streamer
from streamer.options import PREROLL_LIMIT_S, ConnectOptions

GOOD: Final[dict[str, Any]] = {
    "verify": True,
    "timeout_s": 20.0,
    "relay_only": False,
    "preroll_s": 0.0,
    "volume": 100,
    "reconnect": None,
    "prepare_for": None,
    "prepare_timeout_s": 300.0,
    "release": False,
    "keep_awake": False,
    "read_text": None,
    "decoder": "cpu",
}


@pytest.mark.parametrize(
    "changes", [{"preroll_s": PREROLL_LIMIT_S}, {"volume": 0}, {"prepare_for": "x" * 32}, {"timeout_s": 1e-9}]
)
def test_the_least_and_the_most_are_accepted(changes: dict[str, Any]) -> None:
    options = ConnectOptions(**{**GOOD, **changes})
    assert {name: getattr(options, name) for name in changes} == changes


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("timeout_s", 0, "expected timeout_s above 0, got 0"),
        ("timeout_s", math.nan, "expected timeout_s above 0, got nan"),
        ("preroll_s", -0.1, "expected preroll_s from 0 to 120"),
        ("preroll_s", PREROLL_LIMIT_S + 0.1, "expected preroll_s from 0 to 120"),
        ("volume", -1, "expected a whole volume from 0 to 100, got -1"),
        ("volume", 101, "expected a whole volume from 0 to 100, got 101"),
        ("volume", 0.5, r"expected a whole volume from 0 to 100, got 0\.5"),
        ("prepare_timeout_s", 0, "expected prepare_timeout_s above 0, got 0"),
        ("read_text", "tesseract", "expected read_text to be a function, got str"),
        ("decoder", "gpu", 'expected decoder to be "cpu", "cuda" or "auto", got \'gpu\''),
        ("prepare_for", "", "expected a user id of 1 to 32"),
        ("prepare_for", "x" * 33, "expected a user id of 1 to 32"),
    ],
)
def test_a_wrong_option_is_named(name: str, value: Any, message: str) -> None:
    with pytest.raises(streamer.ConfigurationError, match=message):
        ConnectOptions(**{**GOOD, name: value})


def test_options_never_change() -> None:
    with pytest.raises(AttributeError):
        ConnectOptions(**GOOD).volume = 50  # type: ignore[misc]
