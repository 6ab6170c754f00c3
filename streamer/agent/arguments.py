"""The tools as a model sees them: names, descriptions, and arguments with their JSON Schemas."""

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from streamer.errors import ConfigurationError

CLIP_LIMIT_S: Final = 30.0  # how far back `clip` reaches
WAIT_LIMIT_S: Final = 120.0
TEXT_LIMIT: Final = 2000  # characters that `type` takes

_Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
X = Annotated[_Fraction, Meta(description="From the left: 0.0 is the left edge, 1.0 the right one.")]
Y = Annotated[_Fraction, Meta(description="From the top: 0.0 is the upper edge, 1.0 the lower one.")]
Place = Annotated[list[_Fraction], Meta(min_length=2, max_length=2)]
Box = Annotated[list[_Fraction], Meta(min_length=4, max_length=4)]
_BOX = "as fractions of the screen: [left, top, width, height]."


class Arguments(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The arguments of one tool. Its docstring is what a model reads of the tool."""


class Look(Arguments):
    """Look at the screen: one picture of what is on it now. With a region, that part is shown larger.

    The tools that act answer with a picture by themselves.
    """

    region: Annotated[Box | None, Meta(description=f"The part to look at, {_BOX}")] = None


class Tap(Arguments):
    """Tap a place. Answers with a picture once the screen has settled."""

    x: X
    y: Y


class LongPress(Arguments):
    """Press a place and hold it. Answers with a picture once the screen has settled."""

    x: X
    y: Y
    duration_s: Annotated[float, Meta(ge=0.7, le=10.0, description="How long, in seconds.")] = 0.8


class Swipe(Arguments):
    """Swipe over the screen, in a direction or from one place to another.

    Answers with a picture once the screen has settled. "up" moves the finger up, which scrolls a list down.
    """

    direction: Annotated[
        Literal["up", "down", "left", "right"] | None, Meta(description="Half a screen through the middle.")
    ] = None
    start: Annotated[Place | None, Meta(description="Instead of a direction: where the finger goes down, [x, y].")] = (
        None
    )
    end: Annotated[Place | None, Meta(description="Where it goes up, [x, y].")] = None
    duration_s: Annotated[float, Meta(ge=0.05, le=10.0, description="How long the way takes, in seconds.")] = 0.3
    hold_s: Annotated[
        float, Meta(ge=0.0, le=10.0, description="How long the finger rests at the end; 0.1 stops a list's fling.")
    ] = 0.0


class Type(Arguments):
    """Type a text into the field that has the focus: tap the field first.

    Printable ASCII, line feeds and tabs. Answers with a picture once the screen has settled.
    """

    text: Annotated[str, Meta(min_length=1, max_length=TEXT_LIMIT, description="The text.")]


class Press(Arguments):
    """Press a key and let it go. Answers with a picture once the screen has settled."""

    key: Annotated[str, Meta(max_length=64, description="BACK, HOME, APP_SWITCH, ENTER, DEL, TAB, A, 1 and so on.")]
    modifiers: Annotated[
        list[Literal["SHIFT", "ALT", "CTRL"]], Meta(max_length=3, description="Keys that are held meanwhile.")
    ] = []


class ListApps(Arguments):
    """List the apps that are installed: the package, the name and the version of each. Changes nothing."""

    system: Annotated[bool, Meta(description="Whether to list the apps of the system, too.")] = False


class StartApp(Arguments):
    """Start an app, or bring it to the front. Answers with a picture once the screen has settled."""

    package: Annotated[str, Meta(max_length=256, description="Its package name, such as com.example.shop.")]
    activity: Annotated[
        Annotated[str, Meta(max_length=256)] | None,
        Meta(description="An activity of it, such as .Main; by default the launcher's."),
    ] = None


class WaitFor(Arguments):
    """Wait until the screen changes or comes to rest, such as after loading. Answers with a picture either way.

    "change" waits until the screen differs from the last picture that you got, "still" until nothing moves, "text"
    until a text is on the screen, and "text_gone" until it is not.
    """

    what: Annotated[Literal["change", "still", "text", "text_gone"], Meta(description="What to wait for.")]
    text: Annotated[
        Annotated[str, Meta(min_length=1, max_length=200)] | None,
        Meta(description="The text: all of a line or a part of it. Case does not count."),
    ] = None
    region: Annotated[Box | None, Meta(description=f"The part of the screen that counts, {_BOX}")] = None
    timeout_s: Annotated[float, Meta(gt=0.0, le=WAIT_LIMIT_S, description="How long to wait, in seconds.")] = 10.0


class Clip(Arguments):
    """Save a small video of the last seconds into a file, for people, and show how the screen moved as a strip.

    It is how to see what was on the screen for a short time, such as a toast.
    """

    seconds: Annotated[float, Meta(gt=0.0, le=CLIP_LIMIT_S, description="How many seconds, up to now.")]


class Record(Arguments):
    """Begin to record the screen into a video file for people, or end it and get the file's name."""

    action: Annotated[Literal["start", "stop"], Meta(description="Whether it begins or ends.")]


TOOLS: Final[Mapping[str, type[Arguments]]] = {
    "look": Look,
    "tap": Tap,
    "long_press": LongPress,
    "swipe": Swipe,
    "type": Type,
    "press": Press,
    "list_apps": ListApps,
    "start_app": StartApp,
    "wait_for": WaitFor,
    "clip": Clip,
    "record": Record,
}
READ_ONLY: Final = frozenset({"look", "list_apps", "wait_for"})  # they change nothing on the phone and write nothing


def description_of(name: str) -> str:
    """Return what a model reads of a tool."""
    return inspect.cleandoc(TOOLS[name].__doc__ or "").replace("\n", " ").replace("  ", " ")


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a tool's arguments: one flat object."""
    _, components = msgspec.json.schema_components([TOOLS[name]])
    schema: dict[str, Any] = components[TOOLS[name].__name__]
    return {key: value for key, value in schema.items() if key not in {"title", "description"}}


def read_arguments(name: str, given: Mapping[str, Any]) -> Arguments:
    """Return a tool's arguments, checked. Raises ConfigurationError, which quotes no text to be typed."""
    if name not in TOOLS:
        raise ConfigurationError(f"expected one of the tools {', '.join(TOOLS)}, got another name")
    try:
        return msgspec.convert(dict(given), TOOLS[name], strict=False)
    except msgspec.ValidationError as error:
        text = str(error).replace("`", "").replace("$.", "")
        hint = (
            "; places are fractions of the screen from 0.0 to 1.0" if text.startswith("Expected float <= 1.0") else ""
        )
        raise ConfigurationError(f"{name} did nothing: {text[:1].lower()}{text[1:]}{hint}") from None
