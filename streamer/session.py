"""A session with a phone, as the user holds it: it owns the connection, the decoder and the recordings."""

import asyncio
import contextlib
import logging
import os
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import IO, Self

from streamer.aio import finish_before_cancelling, first_event
from streamer.audio_ports import AudioPort, AudioPorts
from streamer.cloud.models import Ticket
from streamer.cloud.phone import ShellAndApps
from streamer.cloud.provisioning import Instance
from streamer.connection import Connection
from streamer.errors import ConfigurationError, ConnectionLostError
from streamer.events import Event, EventHub, EventIterator
from streamer.finding import Targets
from streamer.input_driver import InputDriver
from streamer.media.fanout import Fanout
from streamer.media.history import History
from streamer.media.playback.audio import AudioOutput
from streamer.media.playback.encoded import EncodedOutput
from streamer.media.playback.video import VideoOutput
from streamer.media.recording.recording import Recording
from streamer.media.recording.segments import Limits
from streamer.media.recording.transcode import Transcode
from streamer.options import ConnectOptions
from streamer.reconnector import Reconnector
from streamer.stats import Stats
from streamer.stats_collector import StatsCollector
from streamer.streams import Streams
from streamer.timeline.journal import Journal
from streamer.viewing import Viewer
from streamer.watcher import Watcher

_logger = logging.getLogger("streamer.session")


class Session(Streams, Targets, ShellAndApps):
    """A phone's screen, audio and input. Iterate it for decoded frames, the newest first.

    `connect` makes it. It ends when its block is left, when it is closed, or when the stream ends. Iterators then end
    too, with the error that ended the stream, if there is one. A session that nobody closes goes on until its event
    loop ends; it then gives a ResourceWarning.

    It belongs to the event loop that opened it. In another loop, and in a thread without one, its methods and iterators
    raise ConfigurationError; call them through `asyncio.run_coroutine_threadsafe(..., loop)` there.
    """

    _is_left = True  # there is nothing to close yet

    def __init__(
        self,
        instance: Instance,
        ticket: Ticket,
        options: ConnectOptions,
        *,
        events: EventHub,
        on_close: Callable[[], Awaitable[None]],
    ) -> None:
        self._events = events
        self._on_close = on_close
        self._loop = events.loop
        self._phone_calls = instance.calls(self._loop)
        self._fanout = Fanout()
        self._preroll_s = options.preroll_s
        self._read_text = options.read_text
        self._history = History(options.preroll_s, ask_keyframe=self._keep_past)
        self._frames = VideoOutput(
            ticket.device_id,
            self._history,
            request_keyframe=self.request_keyframe,
            audio_port=lambda: self.audio_port,
            device=options.decoder,
            loop=self._loop,
        )
        self._encoded = EncodedOutput(self._history, request_keyframe=self.request_keyframe, loop=self._loop)
        self._audio = AudioOutput(ticket.device_id, audio_port=lambda: self.audio_port, loop=self._loop)
        self._journal = Journal(lambda: self._history.newest_rtp_time)
        self._input = InputDriver(
            lambda: self._reconnector.input_peer, self._journal, loop=self._loop, keep_awake=options.keep_awake
        )
        self._recordings: set[Recording] = set()
        self._reconnector = Reconnector(
            instance,
            ticket,
            self._fanout,
            options,
            events=events,
            on_input=self._input.look,
            on_message=self._input.receive,
        )
        self._watcher = Watcher(self._frames, self._reconnector, self._journal)
        self._stats = StatsCollector(self._reconnector, self._frames, self._audio, events)
        for sink in (self._history, self._frames, self._audio, self._encoded, self._stats.meter):
            self._fanout.add(sink)
        self._error: Exception | None = None
        self._is_over = False
        self._task = asyncio.create_task(self._run(), name=f"session {ticket.device_id}")
        self._is_left = False

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:  # which is gone when the interpreter ends
        if not self._is_left:
            message = f"the session with {self.instance_id} was never closed: use `async with`, or await its aclose()"
            warn(message, ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        return f"<Session {self.instance_id}: {self.state}>"

    @property
    def _connection(self) -> Connection:
        return self._reconnector.connection

    @property
    def instance_id(self) -> str:
        """The phone's instance id."""
        return self._connection.ticket.instance_id

    @property
    def device_id(self) -> str:
        """The phone's device id."""
        return self._connection.ticket.device_id

    @property
    def audio_ports(self) -> AudioPorts:
        """The phone's audio ports; they may change when the session reconnects."""
        return self._connection.ticket.audio_ports

    @property
    def expires_in_s(self) -> float | None:
        """How long the stream may last at a stretch [doc], in seconds; None if the API does not say.

        The session renews the stream before that.
        """
        return self._connection.ticket.expires_in_s

    @property
    def audio_port(self) -> AudioPort | None:
        """The audio port in force: the external one where there is one, else the internal one."""
        return self.audio_ports.external or self.audio_ports.internal

    @property
    def preroll_s(self) -> float:
        """How many seconds before now a recording may begin: what `connect(preroll_s=...)` was given."""
        return self._preroll_s

    @property
    def state(self) -> str:
        """One of "connecting", "streaming", "interrupted" and "closed"."""
        if self._task.done():
            return "closed"
        if not self._reconnector.connected.is_set():
            return "connecting"
        return "interrupted" if self._reconnector.is_interrupted else "streaming"

    @property
    def error(self) -> Exception | None:
        """The error that ended the session; None while it goes on, and after it was left."""
        return self._error

    @property
    def status(self) -> Event:
        """The newest event that tells the present state: the first one that `events` gives."""
        return self._status

    def events(self) -> EventIterator:
        """Return an async iterator of what happens to the session, from the event of its present state on.

        Several may be read at once. A consumer more than 100 events behind loses the oldest ones. Iteration ends after
        "closed".
        """
        self._loop.check()
        return self._events.iterate()

    def record(
        self,
        target: str | os.PathLike[str] | IO[bytes],
        *,
        overwrite: bool = False,
        before_s: float = 0.0,
        segment_s: float | None = None,
        segment_bytes: int | None = None,
        max_duration_s: float | None = None,
        max_bytes: int | None = None,
        manifest: str | os.PathLike[str] | None = None,
        transcode: Transcode | None = None,
    ) -> Recording:
        """Record until the recording is stopped, a limit is reached, or the session ends.

        Video and audio are copied, not encoded again. Use `async with`, or call `stop` yourself.

        Args:
            target: The file: `.mp4`, `.mkv`, `.webm` or `.ts`. Braces make it a pattern for several files, such as
                `clip-{:04d}.mp4` or `{start:%H%M%S}.mp4`. An open binary file, such as a pipe, gets MPEG-TS.
            overwrite: Replace a file that exists. Without it that is a RecordingError, and the file stays as it is.
            before_s: Begin so many seconds ago, as far as `connect(preroll_s=...)` has kept them.
            segment_s: Begin another file with the first keyframe after so many seconds.
            segment_bytes: Begin another file when one is about this large.
            max_duration_s: End the recording after so many seconds.
            max_bytes: End the recording before all files together are larger.
            manifest: A file that gets a JSON line for each finished file.
            transcode: Encode the frames again: at a constant rate, in another codec or size, with the time on them. If
                that is too slow, frames are left out and counted in `dropped`; the stream and the audio do not suffer.

        Raises:
            ConfigurationError: The kind of file is not known or cannot hold what the phone sends, or a limit is wrong.
            RecordingError: The file exists or cannot be created.
            StreamerError: What ended the session, if it has ended.
        """
        self._loop.check()
        if self._is_over:
            raise self._error or ConnectionLostError("cannot record: the session is closed")
        if not 0 <= before_s <= self._preroll_s:
            raise ConfigurationError(
                f"expected before_s from 0 to {self._preroll_s:g}, got {before_s:g}: give connect a longer preroll_s"
            )
        now_ns = time.monotonic_ns()
        begin_ns = now_ns - round(before_s * 1e9)
        history = self._history
        recording = Recording(
            target,
            overwrite=overwrite,
            has_audio=self._reconnector.has_audio,
            video_codecs={unit.codec.name for unit in history.last_group[-1:]} or self._reconnector.video_codecs,
            on_end=self._fanout.remove,
            request_keyframe=self.request_keyframe,
            interruptions=self._events.interruptions.between,
            limits=Limits(
                segment_s=segment_s, segment_bytes=segment_bytes, max_duration_s=max_duration_s, max_bytes=max_bytes
            ),
            manifest=manifest,
            transcode=transcode,
            # A screen that stands still may answer no request for a keyframe: what is on it is in the history.
            before=history.since(begin_ns) if before_s or history.is_still(now_ns) else (),
            start_ns=begin_ns,
        )
        self._recordings = {other for other in self._recordings if not other.is_closed} | {recording}
        self._fanout.add(recording)
        return recording

    @contextlib.asynccontextmanager
    async def view(
        self,
        *,
        open_browser: bool = False,
        read_only: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        embed_from: Sequence[str] = (),
    ) -> AsyncIterator[Viewer]:
        """Show the phone in the browser while the block runs: `async with phone.view() as viewer`.

        Nothing is encoded again. The page acts on the phone as the program does, with mouse, fingers and keys.

        Args:
            open_browser: Open the page in the browser, if there is one. Without it, open the viewer's `url` yourself.
            read_only: The page shows, and cannot touch or record.
            host: The IP address to listen on. On any but loopback, others on the network reach the page.
            port: The port; 0 takes a free one.
            token: What a page has to know, at least 16 characters; None makes one.
            embed_from: The origins, such as "https://lab.example", whose pages may have the viewer in an `<iframe>`,
                hear what happens to the phone, and act on it. By default no page of another may.

        Raises:
            ConfigurationError: The address cannot be listened on, the port is taken, the token is too short, or
                something is no origin.
        """
        from streamer.viewer import view  # noqa: PLC0415 - it uses the public names, and this is one

        self._loop.check()
        async with view(
            self,
            open_browser=open_browser,
            read_only=read_only,
            host=host,
            port=port,
            token=token,
            embed_from=embed_from,
        ) as viewer:
            yield viewer

    def request_keyframe(self) -> None:
        """Ask the phone for a keyframe, again and again until one comes."""
        self._loop.check()
        self._connection.request_keyframe()

    async def wait_connected(self) -> None:
        """Wait until media can flow.

        Raises:
            StreamerError: What ended the session before that.
        """
        self._loop.check()
        await first_event(self._reconnector.connected, self._task)
        if self._error is not None:
            raise self._error

    async def wait_ended(self) -> None:
        """Wait until the session ends.

        Raises:
            StreamerError: What ended it.
        """
        self._loop.check()
        await asyncio.wait({self._task})
        if self._error is not None:
            raise self._error

    async def wait_input(self) -> None:
        """Wait until the phone can be acted on: its data channel `input` is open. Every action does so by itself.

        Raises:
            StreamerError: What ended the session before that.
        """
        self._loop.check()
        await self._input.wait_ready(None)

    def stats(self) -> Stats:
        """Return a snapshot of the session's counters."""
        self._loop.check()
        return self._stats.stats(self.state)

    async def aclose(self) -> None:
        """Leave the phone and close everything; recordings are finished first. A cancellation waits for that."""
        self._loop.check()
        self._is_left = True
        try:
            await self._input.aclose()
        finally:
            self._task.cancel()
            await self._end()

    async def _end(self) -> None:
        """Wait until everything is closed."""
        try:
            await finish_before_cancelling(self._task)
        finally:
            try:
                if self._task.cancelled():
                    await self._finish()  # once more, for a task that was cancelled before it began
            finally:
                await self._on_close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _run(self) -> None:
        watching = asyncio.create_task(self._stats.watch(), name="problems")
        try:
            await self._reconnector.run()
        except Exception as error:  # noqa: BLE001 - even a fault of ours must end the iterators, and with itself
            self._error = error
            _logger.debug("= ended: %s", error)
        finally:
            watching.cancel()
            await self._finish()

    async def _finish(self) -> None:
        self._is_over = True
        self._input.close(self._error)
        recordings = list(self._recordings)
        for recording in recordings:
            recording.end(self._error)
        await asyncio.gather(*(recording.closed() for recording in recordings))
        await self._frames.aclose(self._error)
        self._encoded.end(self._error)
        self._events.emit("closed", error=self._error)
        await self._audio.aclose(self._error)

    def _keep_past(self) -> None:
        """Ask for a keyframe that the history needs, unless there is a decoder that makes up for it."""
        if self._preroll_s or not self._frames.hub.is_watched:
            self.request_keyframe()
