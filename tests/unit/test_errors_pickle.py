import inspect
import pickle
from pathlib import Path
from typing import Any

import pytest

import streamer
from streamer import errors
from streamer.targets.matches import Match
from streamer.watch.region import Region

NO_FRAME: Any = None  # as a copy in another process has it

FACTS: dict[str, dict[str, Any]] = {
    "MissingExtraError": {"feature": "signing", "extra": "aksk"},
    "CloudUnreachableError": {"was_sent": False},
    "CloudReplyError": {"status": 503, "path": "data.device_token"},
    "CloudRefusalError": {
        "status": 500,
        "error_code": "KOOPHONE.API.9999",
        "error_msg": "busy",
        "meaning": "an internal error of the service",
        "retryable": True,
    },
    "CredentialsError": {"status": 401, "error_code": "APIGW.0301", "retryable": False},
    "CloudUnclearError": {"task_id": "RM_1"},
    "JobFailedError": {"error_code": "CPS0005", "error_msg": "Phone not found.", "output": "no"},
    "SignalingUnreachableError": {"status": 502},
    "SignalingTimeoutError": {"step": "offer"},
    "SignalingRefusedError": {"code": -3},
    "DeviceTokenError": {"code": -2},
    "SignalingClosedError": {"code": 1203, "retryable": False},
    "TakenOverError": {"code": 1402},
    "ConnectionFailedError": {"stage": "ice"},
    "ActionLostError": {"was_sent": None},
    "WaitTimeoutError": {
        "waited_for": "pay.png",
        "waited_s": 5.0,
        "moving": (Region(0, 0, 16, 16),),
        "best": Match(region=Region(0, 0, 16, 16), score=0.83, frame=NO_FRAME),
        "nearby": ("Sign up",),
    },
    "ExpectationError": {
        "waited_for": "home.png",
        "waited_s": 5.0,
        "difference": 0.01,
        "files": (Path("home.actual.png"), Path("home.diff.png")),
    },
    "SeveralMatchesError": {"matches": (Match(region=Region(0, 0, 16, 16), score=0.95, frame=NO_FRAME),) * 2},
    "FramesOverflowError": {"limit": 300},
    "RecordingError": {"reason": "disk-full"},
}


def all_error_classes() -> list[type[errors.StreamerError]]:
    classes = [value for _, value in inspect.getmembers(errors, inspect.isclass)]
    return [value for value in classes if issubclass(value, errors.StreamerError)]


def make(error_class: type[errors.StreamerError]) -> errors.StreamerError:
    facts = FACTS.get(error_class.__name__, {})
    return error_class(**facts) if error_class is errors.MissingExtraError else error_class("what happened", **facts)


@pytest.mark.parametrize("error_class", all_error_classes())
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_pickling_with_its_text_and_its_facts(
    error_class: type[errors.StreamerError], protocol: int
) -> None:
    error = make(error_class)
    copy = pickle.loads(pickle.dumps(error, protocol))
    assert type(copy) is error_class
    assert str(copy) == str(error)
    assert copy.args == error.args
    assert vars(copy) == vars(error)
    assert copy.retryable is error.retryable


@pytest.mark.parametrize("error_class", all_error_classes())
def test_an_error_has_each_fact_that_its_constructor_was_given(error_class: type[errors.StreamerError]) -> None:
    facts = {name: value for name, value in FACTS.get(error_class.__name__, {}).items() if name != "feature"}
    error = make(error_class)
    assert {name: getattr(error, name) for name in facts} == facts


@pytest.mark.parametrize("error_class", all_error_classes())
def test_the_facts_of_this_file_are_those_of_the_constructors(error_class: type[errors.StreamerError]) -> None:
    required = {
        name
        for name, parameter in inspect.signature(error_class.__init__).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
    }
    assert required <= FACTS.get(error_class.__name__, {}).keys()


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        words = line.replace("│", " ").replace("├──", "   ").replace("└──", "   ").split()
        if words and words[0].endswith("Error"):
            depth = line.index(words[0]) // 4 - 1
            above[depth:] = [words[0]]
            drawn[words[0]] = above[depth - 1] if depth else "Exception"
    assert drawn == {error_class.__name__: error_class.__bases__[0].__name__ for error_class in all_error_classes()}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_unreadable_reply_is_retryable_if_its_status_says_so(status: int) -> None:
    assert errors.CloudReplyError("what happened", status=status).retryable


@pytest.mark.parametrize("status", [200, 302, 400, 404])
def test_any_other_unreadable_reply_is_not_retryable(status: int) -> None:
    assert not errors.CloudReplyError("what happened", status=status).retryable


def test_a_take_over_is_never_retryable() -> None:
    assert not errors.TakenOverError("what happened").retryable


def test_a_wrong_argument_is_a_value_error_too() -> None:
    assert issubclass(streamer.ConfigurationError, ValueError)


def test_the_public_names_are_sorted_and_each_can_be_imported() -> None:
    assert streamer.__all__ == sorted(set(streamer.__all__))
    namespace: dict[str, object] = {}
    exec("from streamer import *", namespace)
    assert namespace.keys() >= set(streamer.__all__)


def test_every_error_is_public() -> None:
    assert {error_class.__name__ for error_class in all_error_classes()} <= set(streamer.__all__)
