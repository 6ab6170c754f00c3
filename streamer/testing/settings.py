"""The plugin's options: each on the command line, in the environment, or in the ini file, in that order."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

_KEPT: Final = ("on", "off", "retain-on-failure", "retain-on-failure-and-retries")
_TRUE: Final = {"1", "true", "yes", "on"}
_FALSE: Final = {"", "0", "false", "no", "off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: `--phone-video`, `phone_video` in the ini file, and a variable of the environment."""

    name: str
    help: str
    default: str = ""
    choices: tuple[str, ...] = ()
    metavar: str | None = None
    is_flag: bool = False
    variable: str = ""  # STREAMER_PHONE_VIDEO, unless the command line of streamer has one for it


OPTIONS: Final = (
    Option(
        name="instance",
        metavar="ID",
        variable="STREAMER_INSTANCE",
        help="The phone's instance id. Give it again, or several with commas, for a pool: worker N of pytest-xdist "
        "takes the Nth. Without one, an emulator with its apps is the phone.",
    ),
    Option(
        name="endpoint",
        metavar="URL",
        variable="STREAMER_ENDPOINT",
        help="The API's base URL. Credentials come from the environment, as for the command line of streamer.",
    ),
    Option(name="video", choices=_KEPT, default="retain-on-failure", help="Which tests keep a video."),
    Option(
        name="screenshot",
        choices=("on", "off", "only-on-failure"),
        default="only-on-failure",
        help="Which tests keep their last frame as an image.",
    ),
    Option(
        name="timeline",
        choices=_KEPT,
        default="retain-on-failure",
        help="Which tests keep a timeline of what was done and seen.",
    ),
    Option(name="timeline_text", is_flag=True, help="Write typed text into timelines, not only its length."),
    Option(
        name="output",
        metavar="DIR",
        default="test-results",
        help="The folder with a folder for each test that keeps something.",
    ),
    Option(
        name="reset",
        choices=("none", "app", "factory"),
        default="none",
        help="app: clear the data of the app in a test's `phone` mark before the test. factory: reset the phone to its "
        "first state once, before the first test.",
    ),
    Option(name="slowmo", metavar="S", default="0", help="Pause for so many seconds after each action."),
    Option(name="show", is_flag=True, help="Open the phones of tests in the browser, to watch and touch them."),
    Option(name="update_images", is_flag=True, help="Write the images that tests compare with, instead of comparing."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the options say."""

    instances: tuple[str, ...]
    is_pool_given: bool  # for these tests, not by STREAMER_INSTANCE, which may be there for other programs
    endpoint: str | None
    video: str
    screenshot: str
    timeline: str
    timeline_text: bool
    output: Path
    reset: str
    slowmo_s: float
    show: bool
    update_images: bool


SETTINGS: Final = pytest.StashKey[Settings]()  # of a configuration


def add_options(parser: pytest.Parser) -> None:
    """Tell pytest of the options."""
    group = parser.getgroup("phone", "phones (streamer)")
    for option in OPTIONS:
        names = f"Ini: phone_{option.name}. Environment: {_variable(option)}."
        default = f" Default: {option.default}." if option.default else ""
        more: dict[str, Any] = {"action": "store_true"} if option.is_flag else {"metavar": option.metavar}
        if option.choices:
            more = {"choices": option.choices}
        if option.name == "instance":
            more["action"] = "append"
        group.addoption(
            f"--phone-{option.name.replace('_', '-')}",
            dest=f"phone_{option.name}",
            default=None,
            help=f"{option.help}{default} {names}",
            **more,
        )
        if option.name == "instance":
            parser.addini("phone_instance", option.help, type="args")
        else:
            parser.addini(f"phone_{option.name}", option.help, type="string")


def read_settings(config: pytest.Config, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return what the options say. Raises pytest.UsageError for what none of them can say."""
    given = {option.name: _given(option, config, environment) for option in OPTIONS}
    instances = [name.strip() for text in given["instance"] for name in text.split(",")]
    is_ours = config.getoption("phone_instance") is not None or bool(config.getini("phone_instance"))
    words = {name: values[-1] for name, values in given.items() if values}
    return Settings(
        instances=tuple(filter(None, instances)),
        is_pool_given=is_ours,
        endpoint=words.get("endpoint") or None,
        timeline_text=_truth("timeline_text", words),
        output=config.invocation_params.dir / words["output"],
        slowmo_s=_seconds(words["slowmo"]),
        show=_truth("show", words),
        update_images=_truth("update_images", words),
        video=_choice("video", words),
        screenshot=_choice("screenshot", words),
        timeline=_choice("timeline", words),
        reset=_choice("reset", words),
    )


def _variable(option: Option) -> str:
    return option.variable or f"STREAMER_PHONE_{option.name.upper()}"


def _given(option: Option, config: pytest.Config, environment: Mapping[str, str]) -> list[str]:
    """Return what was given for an option, where it counts first."""
    on_command_line = config.getoption(f"phone_{option.name}")
    if on_command_line is not None:
        return on_command_line if isinstance(on_command_line, list) else [str(on_command_line)]
    if (value := environment.get(_variable(option))) is not None:
        return [value]
    in_file = config.getini(f"phone_{option.name}")
    return (in_file if isinstance(in_file, list) else [in_file]) if in_file else [option.default]


def _choice(name: str, words: Mapping[str, str]) -> str:
    (choices,) = (option.choices for option in OPTIONS if option.name == name)
    if words[name] not in choices:
        raise pytest.UsageError(f"expected {', '.join(choices)} for phone_{name}, got {words[name]!r}")
    return words[name]


def _truth(name: str, words: Mapping[str, str]) -> bool:
    word = words.get(name, "").lower()
    if word not in _TRUE | _FALSE:
        raise pytest.UsageError(f"expected true or false for phone_{name}, got {words[name]!r}")
    return word in _TRUE


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 60:
        raise pytest.UsageError(f"expected seconds from 0 to 60 for phone_slowmo, got {word!r}")
    return seconds
