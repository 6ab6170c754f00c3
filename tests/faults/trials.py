"""A row of the fault matrix, tried for real: its events, its frames, its recording, and the time it took."""

import asyncio
import contextlib
import itertools
import re
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import av
import numpy as np

import streamer
from streamer import emulator
from tests.faults.stages import Peers, Stage, abroad, here
from tests.support.processes import usage
from tests.support.small_disk import small_disk

LIMIT_S: Final = 100.0  # a trial that lasts longer has failed
AT_ONCE: Final = 6  # trials: each phone draws and encodes; more of them keep each other from closing in time
HANDOVER_FRAMES: Final = 30  # by which a successor may go back, at most: a second of a busy phone
GOING_ON: Final = 10  # frames after a fault that make a stream of it again

When = Literal["at first", "while streaming", "reconnecting"]


async def _nothing(_: Any) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Row:
    """A fault, and what is expected of it.

    The phone has the `faults` from the beginning ("at first"), or from a moment on at which the session streams,
    records and is iterated. Then `act` happens too; "reconnecting" cuts the WebSocket, and the faults are over with the
    first attempt that failed. A fault without an interruption is watched for `lasts_s`.
    """

    what: str
    when: When = "at first"
    faults: dict[str, Any] = field(default_factory=dict)
    act: Callable[[Any], Awaitable[None]] = _nothing
    lasts_s: float = 0.0
    disk_kb: int = 0  # it is recorded on a disk of this size, until that is full
    stage: Stage = here  # where it is tried; `act` gets what this gives
    is_alone: bool = False  # it would be felt in the trials beside it
    restarts_counter: bool = False  # another process draws after the fault
    often: bool = False  # how many attempts fail is a matter of chance: compared without repetitions
    serve: dict[str, Any] = field(default_factory=dict)  # options of the stage
    connect: dict[str, Any] = field(default_factory=dict)
    events: tuple[str, ...] = ()  # the kinds of events, from the fault on
    error: type[streamer.StreamerError] | None = None  # what ends the session
    interrupted_by: type[streamer.StreamerError] | tuple[type[streamer.StreamerError], ...] | None = None  # the last
    # error that it went on after; several where two of them race
    facts: dict[str, Any] = field(default_factory=dict)  # attributes of the one or the other
    within_s: float = 20.0  # generously
    grows_mb: float | None = None  # how much more memory this process may hold meanwhile, generously; shown if given

    def __str__(self) -> str:
        return f"{self.when}: {self.what}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a trial."""

    events: tuple[str, ...]
    error: Exception | None
    interrupted_by: Exception | None
    iterator: str  # "goes on", "ends", or the name of the error that it raised
    frames: int | None  # in the recording's own count; None if there was none
    decoded: int | None  # that the file gives
    missing: int | None  # of the phone's own, between the file's first and last; None if the counter restarted
    recording_error: streamer.RecordingError | None
    seconds: float  # from the fault to the error, or to the first frame afterwards; for `lasts_s` the longest pause
    grown_mb: float  # the most memory that this process held from the fault on, over what it held before; if asked for


async def try_all(rows: Iterable[Row], at_once: int = AT_ONCE) -> list[Outcome | Exception]:
    """Try rows side by side; return their outcomes, in their order. Nothing of theirs runs afterwards."""
    turns = asyncio.Semaphore(at_once)

    async def take_turn(row: Row) -> None:
        async with turns:
            try:
                outcomes[id(row)] = await trial(row, peers)
            except Exception as error:  # noqa: BLE001 - one trial that fails does not end the others
                outcomes[id(row)] = error

    rows, outcomes = list(rows), dict[int, Outcome | Exception]()
    async with Peers() as peers:
        await asyncio.gather(*(take_turn(row) for row in rows if not row.is_alone))
        for row in rows:
            if row.is_alone:
                await take_turn(row)
    return [outcomes[id(row)] for row in rows]


async def trial(row: Row, peers: Peers) -> Outcome:
    """Try one row."""
    faults = row.faults if row.when == "at first" else {}
    async with row.stage(faults, peers, **row.serve) as phone:
        connecting = streamer.connect(
            phone.instance_id, endpoint=phone.endpoint, credentials=streamer.Token(phone.tenant_token), **row.connect
        )
        with small_disk(row.disk_kb) if row.disk_kb else tempfile.TemporaryDirectory() as folder:
            return await _Trial(row, phone, connecting, Path(folder) / "a.mp4").run()


class _Trial:
    def __init__(self, row: Row, phone: Any, connecting: streamer.Connecting, path: Path) -> None:
        self._row = row
        self._phone = phone
        self._connecting = connecting
        self._path = path
        self._events = connecting.events()
        self._heard: list[streamer.Event] = []
        self._iterator = "goes on"
        self._frames: list[float] = []  # when each came
        self._fault_at = time.monotonic()
        self._resumed_at = 0.0
        self._ended_at = 0.0
        self._memory = _Memory()

    async def run(self) -> Outcome:
        row, recording = self._row, None
        listening = asyncio.create_task(self._listen(), name="trial: events")
        error: Exception | None = None
        try:
            async with asyncio.timeout(LIMIT_S), self._connecting as session:
                recording = session.record(self._path)
                looking = asyncio.create_task(self._look(session), name="trial: frames")
                try:
                    if row.when != "at first":
                        await self._until(lambda: len(self._frames) > GOING_ON)
                    with contextlib.nullcontext() if row.grows_mb is None else self._memory:
                        if row.when != "at first":
                            await self._break()
                        if row.disk_kb:
                            await recording.closed()
                        await self._watch(session)
                    error = session.error
                    seconds = self._seconds()
                finally:
                    if error is None:
                        looking.cancel()
                    await asyncio.wait({looking})
        except streamer.StreamerError as failure:
            error, seconds, self._iterator = failure, time.monotonic() - self._fault_at, ""
        await listening
        decoded, missing = (None, None) if recording is None else await asyncio.to_thread(_read, self._path, row)
        heard = [event for event in self._heard if event.kind not in {"closed", "problem"} or event.error]
        interruptions = [event.error for event in heard if event.kind == "interrupted" and event.error]
        return Outcome(
            events=tuple(event.kind for event in heard),
            error=error,
            interrupted_by=interruptions[-1] if interruptions else None,
            iterator=self._iterator,
            frames=None if recording is None else recording.frames,
            decoded=decoded,
            missing=missing,
            recording_error=None if recording is None else recording.error,
            seconds=seconds,
            grown_mb=self._memory.grown_kb / 1024,
        )

    async def _break(self) -> None:
        self._heard.clear()
        for name, value in self._row.faults.items():
            setattr(self._phone.faults, name, value)
        self._fault_at = time.monotonic()
        await self._row.act(self._phone)
        if self._row.when == "reconnecting":
            await self._phone.cut_signaling()

    async def _watch(self, session: streamer.Session) -> None:
        """Wait until the session has ended, or goes on for certain."""
        if self._row.when == "reconnecting":
            await self._until(lambda: self._count("interrupted") > 1 or session.state == "closed")
            for name in self._row.faults:
                setattr(self._phone.faults, name, getattr(emulator.Faults(), name, None))
        if self._row.lasts_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._row.lasts_s):
                    await self._until(lambda: session.state == "closed")
            if {"resumed", "renewed"} & set(self._row.events):  # a busy machine may come to it later
                await self._until(lambda: session.state == "closed" or self._count("resumed", "renewed"))
        elif self._row.when != "at first" and not self._row.disk_kb:
            await self._until(lambda: session.state == "closed" or self._count("resumed", "renewed"))
        begun = len(self._frames)
        await self._until(lambda: session.state == "closed" or len(self._frames) > begun + GOING_ON)

    def _seconds(self) -> float:
        """Return how long it took, or the longest time without a frame if the fault is about that."""
        if self._iterator != "goes on":
            return self._ended_at - self._fault_at
        if self._row.lasts_s or self._row.disk_kb:
            pauses = itertools.pairwise([self._fault_at, *(at for at in self._frames if at > self._fault_at)])
            return max(later - earlier for earlier, later in pauses)
        return next(at for at in self._frames if at > max(self._resumed_at, self._fault_at)) - self._fault_at

    async def _listen(self) -> None:
        async for event in self._events:
            self._heard.append(event)
            if event.kind in {"resumed", "renewed", "streaming"}:
                self._resumed_at = time.monotonic()

    async def _look(self, session: streamer.Session) -> None:
        try:
            async for _ in session:
                self._frames.append(time.monotonic())
        except streamer.StreamerError as error:
            self._iterator = type(error).__name__
        else:
            self._iterator = "ends"
        self._ended_at = time.monotonic()

    def _count(self, *kinds: str) -> int:
        return sum(event.kind in kinds for event in self._heard)

    @staticmethod
    async def _until(condition: Callable[[], object]) -> None:
        while not condition():
            await asyncio.sleep(0.02)


class _Memory:
    """Look at how much memory this process holds, from a thread: even while the event loop is blocked."""

    def __init__(self) -> None:
        self.grown_kb = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="trial: memory", daemon=True)

    def __enter__(self) -> None:
        self._before_kb = usage().rss_kb
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(0.02):
            self.grown_kb = max(self.grown_kb, usage().rss_kb - self._before_kb)


def _read(path: Path, row: Row) -> tuple[int, int | None]:
    """Return how many frames a file gives, and how many of the phone's are missing between the first and the last;
    None if the counter restarted.
    """
    counters = []
    with av.open(path) as container:
        for frame in container.decode(video=0):
            barcode = emulator.read_barcode(np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8))
            counters.append(-1 if barcode is None else barcode.counter)
    if -1 in counters:
        raise AssertionError("the recording holds a frame that no phone sent so")
    if row.restarts_counter or not counters:
        return len(counters), None
    different = sorted(set(counters))
    # Chromium sends a keyframe of what is on the screen as another frame of it.
    in_order = sorted(counters) if row.stage is abroad else different
    back = [former - later for former, later in itertools.pairwise(counters) if later < former]
    # A busy phone may send the first keyframe of the next stream after some later frames of the former one.
    is_handover = "renewed" in row.events and len(back) == 1 and back[0] <= HANDOVER_FRAMES
    if counters != in_order and not is_handover:
        raise AssertionError(f"the recording's frames are not in the order of the phone's: {counters}")
    return len(counters), counters[-1] - counters[0] + 1 - len(different)


def check(row: Row, outcome: Outcome) -> None:
    """Assert that a row's outcome is the expected one."""
    events = tuple(_once(outcome.events)) if row.often else outcome.events
    assert events == row.events, outcome
    assert type(outcome.error) is (row.error or type(None)), repr(outcome.error)
    if row.interrupted_by is not None:
        allowed = row.interrupted_by if isinstance(row.interrupted_by, tuple) else (row.interrupted_by,)
        assert type(outcome.interrupted_by) in allowed, repr(outcome.interrupted_by)
    shown = outcome.error or outcome.interrupted_by
    assert {name: getattr(shown, name) for name in row.facts} == row.facts
    if outcome.frames is not None:
        assert outcome.iterator == ("goes on" if row.error is None else row.error.__name__)
        assert outcome.decoded == outcome.frames > 0
        ended_by = outcome.recording_error.reason if outcome.recording_error else None
        assert ended_by == ("disk-full" if row.disk_kb else None)
    assert outcome.seconds < row.within_s
    assert row.grows_mb is None or outcome.grown_mb < row.grows_mb


def table(rows: Iterable[Row], outcomes: Iterable[Outcome | Exception]) -> str:
    """Return a table in Markdown."""
    lines = ["| fault | events, and the error behind them | iterator | recording | seconds |", "|---|---|---|---|---:|"]
    for row, outcome in zip(rows, outcomes, strict=True):
        if isinstance(outcome, Exception):
            lines.append(f"| {row.what} | **the trial failed**: {outcome!r} | | | |")
            continue
        error = outcome.error or outcome.interrupted_by
        said = f"`{type(error).__name__}`: {_plain(str(error))}" if error else ""
        events = " → ".join(_abridged(outcome.events))
        recording = "" if outcome.frames is None else f"{outcome.decoded} frames"
        if outcome.missing is not None:
            recording += f", {outcome.missing} missing"
        if row.grows_mb is not None:
            recording += f"; {outcome.grown_mb:.0f} MB more memory at the most"
        if outcome.recording_error is not None:
            recording += f"<br>`RecordingError`: {_plain(str(outcome.recording_error))}"
        cells = (
            row.what,
            f"{events}<br>{said}" if said else events,
            outcome.iterator,
            recording,
            f"{outcome.seconds:.1f}",
        )
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _once(events: tuple[str, ...]) -> list[str]:
    """Leave out failed attempts, except the first."""
    kept = list(events[:1])
    for former, kind in itertools.pairwise(events):
        if kind not in kept or (former, kind) == ("interrupted", "resumed"):
            kept.append(kind)
    return kept


def _abridged(events: tuple[str, ...]) -> list[str]:
    """Leave out the steps on the way to a stream."""
    return [kind for kind in events if kind not in {"authorized", "negotiating", "connecting"}]


def _plain(text: str) -> str:
    return re.sub(r", request [0-9a-f-]+|/\S*/(?=a\.mp4)", "", text)
