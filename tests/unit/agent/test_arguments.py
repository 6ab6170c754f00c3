"""What a model reads of the tools, and how its arguments are read."""

import json

import pytest

from streamer.agent.arguments import (
    READ_ONLY,
    TOOLS,
    Press,
    Swipe,
    Tap,
    Type,
    description_of,
    read_arguments,
    schema_of,
)
from streamer.errors import ConfigurationError

SECRET = "correct horse battery"


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_has_a_description_and_a_flat_schema_in_which_each_argument_is_described(name: str) -> None:
    schema = schema_of(name)
    assert (schema["type"], schema["additionalProperties"]) == ("object", False)
    assert "$ref" not in json.dumps(schema)
    assert all("description" in each for each in schema["properties"].values())
    description = description_of(name)
    assert description.endswith(".")
    assert "\n" not in description
    assert set(TOOLS) >= READ_ONLY


def test_arguments_are_read_as_the_schema_says_and_numbers_may_be_written_as_text() -> None:
    assert read_arguments("tap", {"x": "0.5", "y": 1}) == Tap(x=0.5, y=1.0)
    assert read_arguments("swipe", {"start": [0, 0.5], "end": [1, 0.5]}) == Swipe(start=[0.0, 0.5], end=[1.0, 0.5])
    assert read_arguments("press", {"key": "A", "modifiers": ["SHIFT"]}) == Press(key="A", modifiers=["SHIFT"])
    assert read_arguments("type", {"text": SECRET}) == Type(text=SECRET)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("tap", {"x": 540, "y": 0.5}, "tap did nothing: expected float <= 1.0 - at x; places are fractions"),
        ("tap", {"x": 0.5}, "tap did nothing: object missing required field y"),
        ("tap", {"x": 0.5, "y": 0.5, "z": 1}, "tap did nothing: object contains unknown field z"),
        ("look", {"region": [0.1, 0.1]}, "look did nothing: expected array of length >= 4 - at region"),
        ("clip", {"seconds": 3600}, "clip did nothing: expected float <= 30.0 - at seconds"),
        ("record", {"action": "pause"}, "record did nothing: invalid enum value 'pause' - at action"),
        ("click", {}, "expected one of the tools look, tap, "),
    ],
)
def test_a_wrong_argument_is_one_sentence_that_says_where(name: str, given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_arguments(name, given)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [{"text": [SECRET]}, {"text": SECRET * 200}, {"text": SECRET, "x": 1}])
def test_no_error_quotes_the_text_to_be_typed(given: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="type did nothing") as caught:
        read_arguments("type", given)
    assert SECRET not in repr(caught.value)
