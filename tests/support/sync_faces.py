"""The generator of `streamer.sync`: `python -m tests.support.sync_faces` writes its modules.

It reads the public classes and functions of `streamer`: each method, with its signature and its docstring, becomes one
that waits. Types are written out by their public names, and docstrings lose what they say of asyncio (`PHRASES`).
"""

import ast
import contextlib
import inspect
import re
import subprocess
import sys
import textwrap
import types
import typing
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import streamer
from streamer.finding import Targets
from streamer.streams import Streams
from streamer.verbs import Verbs
from streamer.waiting import Waits

PACKAGE: Final = Path(streamer.__file__).parent / "sync"
MODULES: Final[dict[str, list[Any]]] = {
    "actions": [streamer.Action, streamer.Finger],
    "apps": [streamer.Apps, streamer.AnimationsOff],
    "cloud": [streamer.CloudPhone, streamer.Cloud],
    "expectations": [streamer.PhoneExpectation, streamer.TargetExpectation, streamer.expect],
    "iterators": [
        streamer.FrameIterator,
        streamer.AudioIterator,
        streamer.AccessUnitIterator,
        streamer.EventIterator,
        streamer.MessageIterator,
    ],
    "recording": [streamer.Recording, streamer.clip],
    "session": [streamer.Session, streamer.connect],
    "streams": [Streams],
    "targets": [streamer.Target, Targets],
    "verbs": [Verbs],
    "viewing": [streamer.Viewer],
    "waits": [Waits],
    "watched": [],  # made of `Verbs` and `Action`
}
PARTS: Final[dict[type, type]] = {  # faces of their own, because a file has its length; and what has them as bases
    Streams: streamer.Session,
    Targets: streamer.Session,
    Verbs: streamer.Session,
    Waits: streamer.Session,
}
OF_THEMSELVES: Final = {"targets"}  # modules with a class whose methods take or return another object of it
OWNERS: Final = {streamer.Session, streamer.Cloud}  # what the program closes
WITHOUT: Final = {
    (streamer.Recording, "put"),  # it takes access units, which no program has
}
# A closed phone has ended these already.
ENDING: Final = {*MODULES["iterators"], streamer.Recording}
ENDINGS: Final = {"close", "closed", "end", "stop", "__aexit__"}
NAMES: Final = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
}
PHRASES: Final = {  # of docstrings; sentences first, then words
    "A session that nobody closes goes on until its event loop ends; it then gives a ResourceWarning.": (
        "A session that nobody closes is closed when the program drops it or ends, with a ResourceWarning."
    ),
    "It belongs to the event loop that opened it. In another loop, and in a thread without one, its methods and "
    "iterators raise ConfigurationError; call them through `asyncio.run_coroutine_threadsafe(..., loop)` there.": (
        "Any thread may use it."
    ),
    ", or this is not the session's event loop": "",
    " A cancellation waits for that.": "",
    " Raises ConfigurationError in another loop.": "",
    "`await` it: it is sent, and ends when its last frame is handed to the network.": (
        "It was sent: its last frame is handed to the network."
    ),
    "It is sent once, however often it is awaited; one that is never awaited is never sent, and Python warns of it. "
    "Cancelling lifts the fingers that are down.": "",
    "Awaiting raises InputNotReadyError": "The verbs raise InputNotReadyError",
    "To know what comes of it, call `changed` or `settled` on it instead of awaiting it: they look at the screen "
    "first.": "To know what comes of an action, use `Session.watched`.",
    "can also be asked once it was awaited: within 10 s, before the next one is awaited,": (
        "can also be asked once it was sent: within 10 s, before the next one is sent,"
    ),
    "Awaiting the action raises what": "It raises what",
    "awaiting the action": "sending the action",
    "A function, plain or async, that": "A function that",
    "It runs in the event loop: it must be quick.": "It runs in a thread of its own.",
    "in the order in which they are awaited": "in the order of the calls",
    "It belongs to the event loop that makes the first call.": "Any thread may use it.",
    " or in another event loop": "",
    "nor after a cancellation": "nor after Ctrl-C",
    "an async context manager": "a context manager",
    "an async iterator": "an iterator",
    "An async iterator": "An iterator",
    "async with": "with",
    "await ": "",
    "aclose": "close",
    "StopAsyncIteration": "StopIteration",
    "One task": "One thread",
}
WATCHED_ACTION: Final = '''class WatchedAction(Face[streamer.Action]):
"""An action that is sent when it is asked what came of it: `changed` and `settled` look at the screen first.

It is sent once. One that is never asked is never sent, and Python warns of it.
"""'''
WATCHED: Final = '''class Watched(Face[streamer.Session]):
"""The verbs of a `Session`, for actions that are asked what came of them: `phone.watched.tap(0.5, 0.5).settled()`.

Nothing is sent before `changed` or `settled` is called.
"""'''
WATCHED_PROPERTY: Final = '''@property
def watched(self) -> Watched:
    """The verbs, for actions that are asked what came of them: `phone.watched.tap(0.5, 0.5).settled()`."""
    return Watched(self._async, self)'''
EXPECT: Final = """@typing.overload
def expect(thing: Target) -> TargetExpectation: ...
@typing.overload
def expect(thing: Session) -> PhoneExpectation: ...
def expect(thing: Target | Session) -> TargetExpectation | PhoneExpectation:
{docstring}    made = streamer.expect(unwrapped(thing))
    if not isinstance(thing, Face):
        raise streamer.ConfigurationError(
            "expected a Session or a Target of streamer.sync, got one of streamer: await streamer.expect of it"
        )
    if isinstance(made, streamer.PhoneExpectation):
        return PhoneExpectation(made, thing)
    return TargetExpectation(made, thing)"""
_HEADER: Final = '"""Written by tests/support/sync_faces.py from the async face: `make sync` writes it again."""'
_PUBLIC: Final = {id(getattr(streamer, name)): name for name in streamer.__all__}
_WIDTH: Final = 120
_STANDARD: Final = ("collections.abc", "contextlib", "os", "pathlib", "re", "ssl", "typing")
_HELPERS: Final = {
    "face": {"Face", "Owner", "in_thread", "open_phone", "run_alone", "unwrapped"},
    "loop_thread": {"begin_use"},
    "watched": {"Watched", "WatchedAction"},
}
_FACES: Final = {face for faces in MODULES.values() for face in faces if inspect.isclass(face)}


def module_text(module: str) -> str:
    """Return the source of a module of `streamer.sync`, not yet formatted."""
    parts = [_class(face) if inspect.isclass(face) else _function(face) for face in MODULES[module]] or _watched()
    body = "\n\n\n".join(parts)
    used = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    imports = [f"import {name}" for name in _STANDARD if name.partition(".")[0] in used]
    imports += ["", "import streamer"] if imports else ["import streamer"]
    homes = {home: {thing.__name__ for thing in things} for home, things in MODULES.items()} | _HELPERS
    for home, names in sorted(homes.items()):
        if names & used and home != module:
            imports.append(f"from streamer.sync.{home} import {', '.join(sorted(names & used))}")
    head = [_HEADER, "", "from __future__ import annotations", ""] if module in OF_THEMSELVES else [_HEADER, ""]
    return "\n".join([*head, *imports, "", "", body, ""])


def docstring_of(thing: Any, *, width: int = _WIDTH) -> str:
    """Return the docstring of a class, method or function of `streamer` as `streamer.sync` has it."""
    paragraphs = _paragraphs(inspect.getdoc(thing) or "")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(_sync_paragraph(lines, width) for lines in paragraphs))


def methods_of(face: type) -> Iterator[tuple[str, Any]]:
    """Yield the name and the function or property of each member that a face has, in the order of their source."""
    assert "\nAttributes:" not in (inspect.getdoc(face) or ""), f"{face}: make properties of its attributes"
    seen = {name for of, name in WITHOUT if of is face}
    for home in face.__mro__[:-1]:
        for name, member in {} if home in PARTS and home is not face else vars(home).items():
            is_member = isinstance(member, property) or inspect.isfunction(member)
            if not is_member or name in seen or (name.startswith("_") and name not in NAMES):
                continue
            seen.add(name)
            if name != "aclose" or not hasattr(face, "close"):
                yield name, member


def all_methods_of(face: type) -> dict[str, Any]:
    """Return what a face has, with what its parts have."""
    return {
        name: member
        for home in (face, *face.__mro__)
        if home is face or home in PARTS
        for name, member in methods_of(home)
    }


def _class(face: type) -> str:
    parts = [part.__name__ for part in face.__mro__[1:] if part in PARTS]
    bases = [*parts, f"{'Owner' if face in OWNERS else 'Face'}[streamer.{PARTS.get(face, face).__name__}]"]
    members = [_member(face, *member) for member in methods_of(face)]
    if face in OWNERS and face is not streamer.Session:
        members.insert(0, _init(face))
    if face is streamer.Session:
        members.append(WATCHED_PROPERTY)
    body = "\n\n".join(textwrap.indent(member, "    ") for member in members)
    return f"class {face.__name__}({', '.join(bases)}):\n{_quoted(face)}\n{body}"


def _watched() -> list[str]:
    """Return the verbs that act, for actions that are not sent before they are asked; and these actions."""
    asked = [
        _member(streamer.Action, name, getattr(streamer.Action, name)) for name in ("sent_ns", "changed", "settled")
    ]
    verbs = [
        re.sub(r"\bAction(?=[(:])", "WatchedAction", _member(Verbs, name, member)).replace("self._act(", "self._do(")
        for name, member in methods_of(Verbs)
        if typing.get_type_hints(member)["return"] is streamer.Action
    ]
    return [
        textwrap.indent("\n\n".join([head, *members]), "    ").lstrip()
        for head, members in ((WATCHED_ACTION, asked), (WATCHED, verbs))
    ]


def _init(face: Any) -> str:
    signature, call = _signature(face.__init__)
    made = f"streamer.{face.__name__}({', '.join(call)})"
    return f"def __init__{_spelled(signature)}:\n    super().__init__({made}, begin_use())"


def _member(face: type, name: str, member: Any) -> str:
    if isinstance(member, property):
        kind = typing.get_type_hints(member.fget)["return"]
        head, body = f"@property\ndef {name}(self) -> {spell(kind)}", _returned(kind, f"self._async.{name}")
        return f"{head}:\n{_quoted(member, depth=2)}    {body}"
    signature, call = _signature(member)
    kind = signature.return_annotation
    arguments = ", ".join([f"self._async.{name}", *call])
    if face in OWNERS and name in {"aclose", "__aexit__"}:
        body = "self._close()"
    elif name == "__aiter__" and kind is typing.Self:
        body = "return self"
    elif name == "__aenter__":
        body = f"self._wait({arguments})\n    return self"
    elif inspect.isgeneratorfunction(inspect.unwrap(member)):  # a block that waits for nothing, in the caller's thread
        (kind,) = typing.get_args(kind)
        signature = signature.replace(return_annotation=contextlib.AbstractContextManager[kind])  # type: ignore[valid-type]
        body = f"return {arguments.replace(',', '(', 1)})"
    elif inspect.isasyncgenfunction(inspect.unwrap(member)):  # a block
        (kind,) = typing.get_args(kind)
        signature = signature.replace(return_annotation=contextlib.AbstractContextManager[kind])  # type: ignore[valid-type]
        body = f"return self._block({kind.__name__}, {arguments})"
    else:
        body = _returned(kind, f"self.{_way(face, name, member, kind)}({arguments})")
    return f"def {NAMES.get(name, name)}{_spelled(signature)}:\n{_quoted(member, depth=2)}    {body}"


def _way(face: type, name: str, member: Any, kind: Any) -> str:
    """Return by which method of `Face` a method is called."""
    if face in ENDING and name in ENDINGS:
        return "_end"
    if name == "__anext__":
        return "_next"
    if kind is streamer.Action:
        return "_act"
    return "_wait" if inspect.iscoroutinefunction(member) else "_do"


def _function(function: Any) -> str:
    if function is streamer.expect:
        return EXPECT.format(docstring=_quoted(function))
    signature, call = _signature(function)
    arguments = ", ".join(call)
    made = f"streamer.{function.__name__}({arguments})"
    if signature.return_annotation is streamer.Connecting:
        signature = signature.replace(return_annotation=streamer.Session)
        body = f"return open_phone(Session, {made})"
    else:
        body = _returned(signature.return_annotation, f"run_alone(streamer.{function.__name__}, {arguments})")
    return f"def {function.__name__}{_spelled(signature)}:\n{_quoted(function)}    {body}"


def _returned(kind: Any, made: str) -> str:
    if kind in _FACES:
        return f"return {kind.__name__}({made}, self)"
    return made if kind in {None, type(None)} else f"return {made}"


def _signature(function: Any) -> tuple[inspect.Signature, list[str]]:
    """Return a signature with its types, and how its arguments are passed on."""
    hints = typing.get_type_hints(function)
    signature = inspect.signature(function)
    parameters = [each.replace(annotation=hints.get(each.name, each.empty)) for each in signature.parameters.values()]
    passed = [_passed(each) for each in parameters if each.name != "self"]
    return signature.replace(parameters=parameters, return_annotation=hints["return"]), passed


def _passed(parameter: inspect.Parameter) -> str:
    """Return how an argument is passed on. A function of the program's is called in a thread; a face is unwrapped."""
    name, kind = parameter.name, parameter.annotation
    value = f"in_thread({name})" if typing.get_origin(kind) is Callable else name
    if any(each in _FACES for each in (kind, *typing.get_args(kind)) if inspect.isclass(each)):
        value = f"unwrapped({name})"
    if parameter.kind is parameter.KEYWORD_ONLY:
        return f"{name}={value}"
    return f"*{value}" if parameter.kind is parameter.VAR_POSITIONAL else value


def _spelled(signature: inspect.Signature) -> str:
    words, is_bare = [], True
    for each in signature.parameters.values():
        if each.kind is each.KEYWORD_ONLY and is_bare:
            words.append("*")
        is_bare &= each.kind not in {each.KEYWORD_ONLY, each.VAR_POSITIONAL}
        word = "*" * (each.kind is each.VAR_POSITIONAL) + each.name
        word += f": {spell(each.annotation)}" if each.name != "self" else ""
        words.append(word if each.default is each.empty else f"{word} = {_default(each.default)}")
    return f"({', '.join(words)}) -> {spell(signature.return_annotation)}"


def _default(value: Any) -> str:
    if value == streamer.Reconnect():
        return "streamer.Reconnect()"
    assert value in {None, ()} or isinstance(value, bool | int | float | str), value
    return repr(value)


def spell(kind: Any) -> str:
    """Return a type as source: faces by their own names, the types of `streamer` by their public ones."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return f"typing.Literal[{', '.join(map(repr, arguments))}]"
    if origin in {typing.Union, types.UnionType}:
        return " | ".join(spell(each) for each in arguments if typing.get_origin(each) is not Awaitable)
    if origin is Callable:
        return f"collections.abc.Callable[[{', '.join(map(spell, arguments[0]))}], {spell(arguments[1])}]"
    if origin is not None:
        return f"{spell(origin)}[{', '.join(map(spell, arguments))}]"
    if kind in {None, type(None)} or kind is Ellipsis:
        return "..." if kind is Ellipsis else "None"
    if kind in _FACES:
        return str(kind.__name__)
    if id(kind) in _PUBLIC:
        return f"streamer.{_PUBLIC[id(kind)]}"
    assert not kind.__module__.startswith("streamer"), f"{kind} has no public name"
    module = kind.__module__.partition("._")[0]  # pathlib._local, where Python 3.13 keeps Path
    return str(kind.__name__ if module == "builtins" else f"{module}.{kind.__name__}")


def _quoted(thing: Any, *, depth: int = 1) -> str:
    """Return a docstring as source, indented once; nothing if there is none."""
    if not (text := docstring_of(thing, width=_WIDTH - 4 * depth)):
        return ""
    end = "\n" if "\n" in text else ""
    return textwrap.indent(f'"""{text}{end}"""\n', "    ")


def _paragraphs(text: str) -> Iterator[list[str]]:
    """Yield the lines of each paragraph, of each entry of a section, and of each section's head."""
    paragraph: list[str] = []
    for line in text.splitlines():
        begin = paragraph[0] if paragraph else ""
        is_entry = _indent(line) > 0 and _indent(line) <= _indent(begin)
        if paragraph and (not line or not begin or is_entry or re.fullmatch(r"\s*\w+:", begin)):
            yield paragraph
            paragraph = []
        paragraph.append(line)
    yield paragraph


def _sync_paragraph(lines: list[str], width: int) -> str:
    text = old = " ".join(line.strip() for line in lines)
    for phrase, word in PHRASES.items():
        text = text.replace(phrase, word)
    if text == old:
        return "\n".join(lines)
    first = " " * _indent(lines[0])
    following = " " * _indent(lines[1]) if lines[1:] else first
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=following,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def main() -> None:
    """Write the modules."""
    paths = [PACKAGE / f"{module}.py" for module in MODULES]
    for path in paths:
        path.write_text(module_text(path.stem), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", *paths], check=True)


if __name__ == "__main__":
    main()
