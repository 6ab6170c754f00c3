"""What each tool does on a session, and what it answers: a line of JSON, and one picture of the screen."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from streamer.actions import Action
from streamer.agent.arguments import (
    Arguments,
    Clip,
    ListApps,
    LongPress,
    Look,
    Press,
    Record,
    StartApp,
    Swipe,
    Tap,
    Type,
    WaitFor,
    read_arguments,
)
from streamer.agent.files import Files
from streamer.agent.pictures import Pictures
from streamer.agent.texts import Texts
from streamer.errors import (
    ActionLostError,
    CloudUnclearError,
    ConfigurationError,
    InputNotReadyError,
    StreamerError,
    WaitTimeoutError,
)
from streamer.media.playback.video_frames import VideoFrame
from streamer.session import Session
from streamer.waiting import A_CHANGE
from streamer.watch.change import Reference
from streamer.watch.region import Region
from streamer.watcher import BlockMeans

_logger = logging.getLogger("streamer.agent")

CHANGE_S: Final = 2.0  # for the first change after an action: what does nothing by then does nothing
START_CHANGE_S: Final = 5.0  # after the start of an app, which takes longer
SETTLE_S: Final = 8.0  # for all of it
_UNCLEAR: Final = "it is not known whether the phone has done this. Look at the screen before you do it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a tool answers.

    Attributes:
        text: A line of JSON, or one sentence if it is an error.
        picture: A JPEG of the screen, if there is one.
        is_error: Whether the tool did not do what it was asked for.
    """

    text: str
    picture: bytes | None = None
    is_error: bool = False


class Tools:
    """The tools of one phone. `session` gives the session that is in force; files go where `files` says. With
    `reads_texts`, answers have the texts on the screen, too, which needs the extra `ocr`.

    Tools that act do so one after another, so that each sees what came of it alone.
    """

    def __init__(self, session: Callable[[], Awaitable[Session]], files: Files, *, reads_texts: bool = False) -> None:
        self._session = session
        self._files = files
        self._acting = asyncio.Lock()
        self._pictures = Pictures()
        self._texts = Texts(is_on=reads_texts)
        self._seen: VideoFrame | None = None  # the frame of the last picture of the whole screen

    async def call(self, name: str, given: Mapping[str, Any]) -> Answer:
        """Run a tool. It answers in every case: an error becomes one sentence that says what to do."""
        session: Session | None = None
        try:
            arguments = read_arguments(name, given)
            session = await self._session()
            return await self._run(session, arguments)
        except (ActionLostError, CloudUnclearError) as error:
            if isinstance(error, ActionLostError) and error.was_sent is False:
                return _failure(f"nothing was sent: {error}; do it again")
            picture = None if session is None else await self._picture_if_any(session)
            return Answer(text=f"{_UNCLEAR} ({error}).", picture=picture, is_error=True)
        except InputNotReadyError as error:
            return _failure(f"nothing was sent: {error}; try again in a few seconds")
        except StreamerError as error:
            if session is None and not isinstance(error, ConfigurationError):
                return _failure(f"nothing was sent: {error}; another call connects again")
            return _failure(str(error))
        except Exception as error:  # a fault of ours must reach the model as a sentence, too
            _logger.warning("= the tool %s failed: %s", name, type(error).__name__)
            _logger.debug("= the tool %s failed", name, exc_info=True)
            return _failure(f"{name} failed by a fault of streamer ({type(error).__name__}): look at the screen")

    async def _run(self, session: Session, arguments: Arguments) -> Answer:
        match arguments:
            case Look(region=region):
                return await self._look(session, _region(region))
            case StartApp(package=package, activity=activity):
                action = session.start_app(package, activity=activity)
                return await self._act(session, action, change_s=START_CHANGE_S)
            case ListApps(system=system):
                apps = await session.apps.list(is_system=None if system else False)
                return _facts(
                    {"apps": [{"package": app.package, "name": app.name, "version": app.version} for app in apps]}
                )
            case WaitFor():
                return await self._wait_for(session, arguments)
            case Clip(seconds=seconds):
                return _facts(*await self._files.clip(session, seconds))
            case Record(action=action):
                return _facts(await self._files.record(session, begin=action == "start"))
        return await self._act(session, _action(session, arguments), change_s=CHANGE_S)

    async def _look(self, session: Session, region: Region | None) -> Answer:
        frame = await session.screenshot()
        facts = {"age_s": round(frame.age_s, 3)}
        if region is not None:
            return _facts(facts, await self._pictures.of(frame, region))
        return await self._show(facts | await self._texts.all(session, frame), frame)

    async def _act(self, session: Session, action: Action, *, change_s: float) -> Answer:
        async with self._acting:
            try:
                settled = await action.settled(timeout_s=SETTLE_S, change_timeout_s=change_s)
            except WaitTimeoutError as error:
                if action.sent_ns is None or error.frame is None:
                    raise
                facts: dict[str, Any] = (
                    {"changed": False, "waited_s": change_s, "note": "nothing on the screen has changed"}
                    if error.waited_for == A_CHANGE
                    else {"changed": True, **_unrest(error, error.frame)}
                )
                return await self._show(facts | await self._texts.changes(session, error.frame), error.frame)
            facts = {
                "changed": True,
                "region": _fractions(settled.region, settled.frame),
                "first_change_s": round(settled.first_change_s, 3),
                "settled_s": round(settled.settled_s, 3),
            }
            return await self._show(facts | await self._texts.changes(session, settled.frame), settled.frame)

    async def _wait_for(self, session: Session, asked: WaitFor) -> Answer:
        begin = time.monotonic()
        facts: dict[str, Any]
        try:
            frame = await self._waited_for(session, asked)
        except WaitTimeoutError as error:
            if error.frame is None:
                raise
            frame = error.frame
            facts = {"came": False, "waited_s": asked.timeout_s}
            facts |= _unrest(error, frame) if asked.what == "still" else {"note": _instead(error, frame, asked)}
        else:
            facts = {"came": True, "after_s": round(time.monotonic() - begin, 3)}
        return await self._show(facts | await self._texts.changes(session, frame), frame)

    async def _waited_for(self, session: Session, asked: WaitFor) -> VideoFrame:
        """Wait, and return the frame that is on the screen then."""
        region, timeout_s = _region(asked.region), asked.timeout_s
        if asked.what == "still":
            return await session.wait_until_still(region=region, timeout_s=timeout_s)
        if asked.what == "change":
            return await session.wait_for(_differs(self._seen, region), timeout_s=timeout_s)
        if asked.text is None:
            raise ConfigurationError("wait_for did nothing: expected a text to wait for, got none")
        target = session.get_by_text(asked.text)
        target = target if region is None else target.within(region)
        if asked.what == "text":
            return (await target.first.wait(timeout_s=timeout_s)).frame
        await target.wait_gone(timeout_s=timeout_s)
        return await session.screenshot()

    async def _show(self, facts: Mapping[str, Any], frame: VideoFrame) -> Answer:
        self._seen = frame
        return _facts(facts, await self._pictures.of(frame))

    async def _picture_if_any(self, session: Session) -> bytes | None:
        try:
            self._seen = await session.screenshot()
        except StreamerError:
            return None
        return await self._pictures.of(self._seen)


def _differs(seen: VideoFrame | None, region: Region | None) -> Callable[[VideoFrame], bool]:
    """Return a function that says whether a frame differs from the one that was seen, or else from its first one."""
    means, reference = BlockMeans(), Reference(region=region)

    def differs(frame: VideoFrame) -> bool:
        size = frame.width, frame.height
        look = reference.compare(means(frame.av_frame), size, rtp_time=frame.rtp_time, arrival_ns=frame.arrival_ns)
        return look.changed is not None

    if seen is not None:
        differs(seen)  # becomes the reference
    return differs


def _action(session: Session, arguments: Arguments) -> Action:
    """Return the action that a tool asks for."""
    match arguments:
        case Tap(x=x, y=y):
            return session.tap(x, y)
        case LongPress(x=x, y=y, duration_s=duration_s):
            return session.long_press(x, y, duration_s=duration_s)
        case Swipe():
            return _swipe(session, arguments)
        case Type(text=text):
            return session.type(text)
        case Press(key=key, modifiers=modifiers):
            return session.press(key, modifiers=modifiers)
    raise AssertionError(type(arguments))


def _swipe(session: Session, asked: Swipe) -> Action:
    start = asked.direction or (None if asked.start is None else (asked.start[0], asked.start[1]))
    end = None if asked.end is None else (asked.end[0], asked.end[1])
    if start is None or (asked.direction is not None and (asked.start or end)):
        raise ConfigurationError("swipe did nothing: expected a direction alone, or a start and an end")
    return session.swipe(start, end, duration_s=asked.duration_s, hold_s=asked.hold_s)


def _unrest(error: WaitTimeoutError, frame: VideoFrame) -> dict[str, Any]:
    """Return what keeps a screen from being still, in fractions: the error's own words are pixels."""
    if not error.moving:
        return {"still": False, "note": str(error)}
    moving = [_fractions(region, frame) for region in error.moving]
    return {"still": False, "moving": moving, "note": "the screen has not come to rest: it may never do"}


def _instead(error: WaitTimeoutError, frame: VideoFrame, asked: WaitFor) -> str:
    """Return what there was instead of what was waited for, with places in fractions."""
    match asked.what:
        case "change":
            return "the screen has not changed"
        case "text_gone":
            return "the text is still on the screen"
    if error.best is None:
        return "the text is not on the screen"
    x, y = error.best.center
    place = [round(x / frame.width, 3), round(y / frame.height, 3)]
    return f'the text is not on the screen; nearest: "{error.best.text}" at {place}'


def _region(box: list[float] | None) -> Region | None:
    return None if box is None else Region(*box)


def _fractions(region: Region, frame: VideoFrame) -> list[float]:
    left, top, right, bottom = region.pixels(frame.width, frame.height)
    sizes = (left / frame.width, top / frame.height, (right - left) / frame.width, (bottom - top) / frame.height)
    return [round(size, 3) for size in sizes]


def _facts(facts: Mapping[str, Any], picture: bytes | None = None) -> Answer:
    return Answer(text=json.dumps(facts, ensure_ascii=False), picture=picture)


def _failure(sentence: str) -> Answer:
    return Answer(text=f"{sentence.rstrip('.')}.", is_error=True)
