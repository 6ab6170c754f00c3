"""`streamer.sync` has every public name that waits, with the signature and the docstring of the async face."""

import ast
import inspect
import re
from typing import Any, Final

import pytest

import streamer
import streamer.sync
from tests.support import sync_faces

OURS: Final = {"Watched", "WatchedAction"}  # an action that was sent cannot be asked any more
CLASSES: Final = [
    name for name in streamer.sync.__all__ if inspect.isclass(getattr(streamer.sync, name)) and name not in OURS
]
FUNCTIONS: Final = ["clip", "connect", "expect"]
MARKS: Final = {"__aenter__", "__aiter__", "__anext__", "__await__"}
WITHOUT: Final = {
    "Connecting": "`connect` of the sync face waits, and gives the session",
    "Credentials": "the loop calls these; the program makes them",
    "Token": "",
    "TokenFile": "",
    "TokenProvider": "",
    "Password": "",
    "AccessKey": "",
}


def waits(thing: Any) -> bool:
    """Whether something is awaited, iterated or entered with asyncio, or returns or has what is."""
    if inspect.isclass(thing):
        return any(name in MARKS or inspect.iscoroutinefunction(member) for name, member in inspect.getmembers(thing))
    return inspect.iscoroutinefunction(thing) or thing in {streamer.connect, streamer.expect}


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    return [(each.name, each.kind, each.default) for each in inspect.signature(function).parameters.values()]


def names_of(face: type) -> set[str]:
    return {
        name
        for name, member in inspect.getmembers(face)
        if (not name.startswith("_") or name in sync_faces.NAMES.values())
        and (inspect.isfunction(member) or isinstance(member, property))
    }


def test_every_public_name_that_waits_has_its_sync_face() -> None:
    wanted = {name for name in streamer.__all__ if waits(getattr(streamer, name))} - WITHOUT.keys()
    assert wanted == set(CLASSES) | set(FUNCTIONS)
    assert set(streamer.sync.__all__) == wanted | OURS | {"timeout"}


@pytest.mark.parametrize("module", sync_faces.MODULES)
def test_a_module_is_what_the_generator_writes(module: str) -> None:
    """If not: `make sync`."""
    written = (sync_faces.PACKAGE / f"{module}.py").read_text(encoding="utf-8")
    assert ast.dump(ast.parse(written)) == ast.dump(ast.parse(sync_faces.module_text(module)))


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_the_same_members_with_the_same_parameters(name: str) -> None:
    ours, theirs = getattr(streamer.sync, name), getattr(streamer, name)
    members = sync_faces.all_methods_of(theirs)
    assert names_of(ours) - {"watched"} == {sync_faces.NAMES.get(member, member) for member in members}
    for member, function in members.items():
        face = inspect.getattr_static(ours, sync_faces.NAMES.get(member, member))
        assert isinstance(face, property) == isinstance(function, property), member
        assert inspect.iscoroutinefunction(face) is False
        if not isinstance(face, property):
            assert parameters(face) == parameters(function), member
        assert bool(inspect.getdoc(face)) == bool(inspect.getdoc(function)), member


def test_each_verb_that_acts_can_be_watched() -> None:
    verbs = {
        name: verb
        for name, verb in sync_faces.all_methods_of(streamer.Session).items()
        if inspect.isfunction(verb) and inspect.signature(verb).return_annotation is streamer.Action
    }
    watched = {name: getattr(streamer.sync.Watched, name) for name in names_of(streamer.sync.Watched)}
    assert {name: parameters(verb) for name, verb in watched.items()} == {
        name: parameters(verb) for name, verb in verbs.items()
    }
    for name in ("changed", "settled"):
        assert parameters(getattr(streamer.sync.WatchedAction, name)) == parameters(getattr(streamer.Action, name))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_the_same_parameters(name: str) -> None:
    assert parameters(getattr(streamer.sync, name)) == parameters(getattr(streamer, name))


@pytest.mark.parametrize("name", [*CLASSES, *sorted(OURS), *FUNCTIONS])
def test_no_docstring_speaks_of_asyncio(name: str) -> None:
    face = getattr(streamer.sync, name)
    things = [face, *(getattr(face, member) for member in names_of(face))] if inspect.isclass(face) else [face]
    for thing in things:
        found = re.findall(
            r"(?i).*\b(?:a?sync\w*|await\w*|event loop|coroutine|one task|cancel\w*)\b.*", inspect.getdoc(thing) or ""
        )
        assert not found, thing


def test_each_phrase_that_is_replaced_stands_somewhere() -> None:
    things: list[Any] = [streamer.clip, streamer.connect, streamer.Action.changed]
    for name in CLASSES:
        face = getattr(streamer, name)
        things += [face, *sync_faces.all_methods_of(face).values(), *(set(face.__mro__) & sync_faces.PARTS.keys())]
    text = " ".join(" ".join((inspect.getdoc(thing) or "").split()) for thing in things)
    assert [phrase for phrase in sync_faces.PHRASES if phrase not in text] == []
