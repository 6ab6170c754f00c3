"""A session with a phone, as the user holds it: it owns the connection, the decoder and the recordings."""

import asyncio
import contextlib
import logging
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import IO, Final, Self

from streamer.aio import within
from streamer.audio_ports import AudioPort, AudioPorts
from streamer.cloud.client import CloudClient, check_user_id
from streamer.cloud.credentials import Credentials
from streamer.cloud.http import trust_of
from streamer.cloud.models import Ticket
from streamer.connection import Connection, ConnectionOptions
from streamer.errors import (
    CloudError,
    ConfigurationError,
    ConnectionFailedError,
    ConnectionLostError,
    TakenOverError,
)
from streamer.events import Event, EventHub, EventIterator
from streamer.lasting_problems import LOOK_EVERY_S, LastingTroubles
from streamer.lifecycle import give_back, prepare, to_the_end
from streamer.media.fanout import Fanout
from streamer.media.history import History
from streamer.media.meter import StreamMeter
from streamer.media.playback.audio import AudioOutput
from streamer.media.playback.audio_frames import AudioIterator, Layout, SampleFormat
from streamer.media.playback.video import VideoOutput
from streamer.media.playback.video_frames import EVERY_LIMIT, FrameIterator, Policy, VideoFrame
from streamer.media.recording.recording import Recording
from streamer.media.recording.segments import Limits
from streamer.media.recording.transcode import Transcode
from streamer.own_loop import OwnLoop
from streamer.reconnect import Reconnector
from streamer.retry import Reconnect
from streamer.stats import Stats

_logger = logging.getLogger("streamer.session")

PREROLL_LIMIT_S: Final = 120.0
STILL_AFTER_S: Final = 3.0  # after an interruption: a screen that answers no request for a keyframe by then is still


def connect(
    instance_id: str,
    *,
    endpoint: str,
    credentials: Credentials | str,
    timeout_s: float = 20.0,
    verify: bool | ssl.SSLContext | str | os.PathLike[str] = True,
    relay_only: bool = False,
    stream_type: int | None = 2,
    preroll_s: float = 0.0,
    volume: int = 100,
    reconnect: Reconnect | None = Reconnect(),  # noqa: B008 - it is frozen
    prepare_for: str | None = None,
    prepare_timeout_s: float = 300.0,
    release: bool = False,
) -> "Connecting":
    """Connect to a phone: return an async context manager that gives a `Session`.

    Args:
        instance_id: The phone's instance id.
        endpoint: The API's base URL, which may carry a path. The vendor's own is https://koophone.myhuaweicloud.com
            [doc].
        credentials: Who the tenant is: a Token, TokenFile, TokenProvider, Password or AccessKey. A text is a Token. A
            Token is never replaced, so a session longer than its life (24 hours [doc]) needs one of the others.
        timeout_s: How long connecting may take, from the first call to an encrypted media path, in seconds.
        verify: How TLS certificates of the API, signaling and TURN are verified: True trusts the system's authorities
            and Mozilla's; a PEM file or an `ssl.SSLContext` brings other ones; False verifies nothing.
        relay_only: Send all media through the TURN servers that the API names, so that the phone does not learn this
            machine's addresses. Entering raises ConnectionFailedError if there is no such server.
        stream_type: What the auth call asks for: 2 is browser streaming [assumed]; None leaves it out.
        preroll_s: Keep the last so many seconds in memory, encoded, for `record(before_s=...)`. From 0 to 120.
        volume: How loud the phone plays, from 0 (silence) to 100 [seen].
        reconnect: How hard the session tries to stay up once it has streamed. Iterators and recordings go on with a new
            connection. None ends the session with the first error. An error that another try cannot mend, such as a
            device that took the phone over, always ends it.
        prepare_for: Bring the instance up first, for this user id of your own. It happens again, within the limits of
            `reconnect`, if the API says that the instance is not ready.
        prepare_timeout_s: How long bringing the instance up may take, in seconds.
        release: End the stream and give the instance back when the block is left, whatever happened, within 5 s.
            Without it the instance stays taken for a while [doc]. An instance that another device took over is left
            alone.

    Entering the block raises ConfigurationError, CloudError, SignalingError or ConnectionFailedError.

    Raises:
        ConfigurationError: An argument is wrong; nothing was sent.
    """
    if not timeout_s > 0:
        raise ConfigurationError(f"expected timeout_s above 0, got {timeout_s}")
    if not 0 <= preroll_s <= PREROLL_LIMIT_S:
        raise ConfigurationError(f"expected preroll_s from 0 to {PREROLL_LIMIT_S:g}, got {preroll_s}")
    if volume not in range(101):
        raise ConfigurationError(f"expected a whole volume from 0 to 100, got {volume}")
    if not prepare_timeout_s > 0:
        raise ConfigurationError(f"expected prepare_timeout_s above 0, got {prepare_timeout_s}")
    if prepare_for is not None:
        check_user_id(prepare_for)
    trust = trust_of(verify)
    cloud = CloudClient(endpoint, credentials, verify=trust, stream_type=stream_type)
    return Connecting(
        cloud,
        instance_id,
        timeout_s=timeout_s,
        options=ConnectionOptions(verify=trust, relay_only=relay_only, volume=volume),
        preroll_s=preroll_s,
        reconnect=reconnect,
        prepare_for=prepare_for,
        prepare_timeout_s=prepare_timeout_s,
        release=release,
    )


class Connecting:
    """What `connect` returns. `async with` it once to get the `Session`."""

    def __init__(
        self,
        cloud: CloudClient,
        instance_id: str,
        *,
        timeout_s: float,
        options: ConnectionOptions,
        preroll_s: float,
        reconnect: Reconnect | None,
        prepare_for: str | None,
        prepare_timeout_s: float,
        release: bool,
    ) -> None:
        self._cloud = cloud
        self._instance_id = instance_id
        self._timeout_s = timeout_s
        self._options = options
        self._preroll_s = preroll_s
        self._reconnect = reconnect
        self._prepare_for = prepare_for
        self._prepare_timeout_s = prepare_timeout_s
        self._release = release
        self._is_used = False
        self._may_be_taken = False  # the cloud was asked for the instance, and did not refuse
        self._loop = OwnLoop()
        self._events = EventHub(loop=self._loop)
        self._session: Session | None = None

    def events(self) -> EventIterator:
        """Return an async iterator of events that begins before the connection; see `Session.events`."""
        return self._events.iterate()

    async def __aenter__(self) -> "Session":
        self._loop.check()
        if self._is_used:
            raise ConfigurationError("expected to be entered once: call connect again")
        self._is_used = True
        try:
            await self._prepare()
            async with asyncio.timeout(self._timeout_s):
                ticket = await self._take()
                self._session = Session(
                    self._cloud,
                    ticket,
                    options=self._options,
                    preroll_s=self._preroll_s,
                    reconnect=self._reconnect,
                    prepare=None if self._prepare_for is None else self._prepare,
                    events=self._events,
                )
                await self._session.wait_connected()
        except TimeoutError as error:
            stage = "the phone" if self._session else "the API"
            failed = ConnectionFailedError(
                f"no stream within {self._timeout_s:g} s, waiting for {stage}", stage="media"
            )
            await self._close(failed)
            raise failed from error
        except BaseException as error:
            await self._close(error)
            raise
        return self._session

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.check()
        await self._close()

    async def _close(self, error: BaseException | None = None) -> None:
        try:
            if self._session is not None:
                await self._session.aclose()
        finally:
            try:
                if self._release and self._may_be_taken and not self._is_taken_over:
                    await give_back(self._cloud, self._instance_id)
            finally:
                self._events.tell("closed", error=error if isinstance(error, Exception) else None)
                await self._cloud.aclose()

    async def _prepare(self) -> None:
        if self._prepare_for is not None:
            self._may_be_taken = True
            await prepare(
                self._cloud,
                self._instance_id,
                self._prepare_for,
                timeout_s=self._prepare_timeout_s,
                events=self._events,
            )

    async def _take(self) -> Ticket:
        self._events.tell("connecting")
        was_taken, self._may_be_taken = self._may_be_taken, True
        try:
            return await self._cloud.fetch_ticket(self._instance_id)
        except CloudError:
            self._may_be_taken = was_taken
            raise

    @property
    def _is_taken_over(self) -> bool:
        return self._session is not None and isinstance(self._session.error, TakenOverError)


class Session:
    """A phone's screen and audio. Iterate it for decoded frames, the newest first.

    `connect` makes it. It ends when its block is left or when the stream ends. Iterators then end too, with the error
    that ended the stream, if there is one.

    It belongs to the event loop that opened it. In another loop, and in a thread without one, its methods and iterators
    raise ConfigurationError; call them through `asyncio.run_coroutine_threadsafe(..., loop)` there.

    Attributes:
        instance_id: The phone's instance id.
    """

    def __init__(
        self,
        cloud: CloudClient,
        ticket: Ticket,
        *,
        options: ConnectionOptions,
        preroll_s: float,
        reconnect: Reconnect | None,
        prepare: Callable[[], Awaitable[None]] | None,
        events: EventHub,
    ) -> None:
        self.instance_id = ticket.instance_id
        self._events = events
        self._loop = events.loop
        self._fanout = Fanout()
        self._preroll_s = preroll_s
        self._history = History(preroll_s, ask_keyframe=self._keep_past)
        self._frames = VideoOutput(
            ticket.device_id,
            self._history,
            request_keyframe=self.request_keyframe,
            audio_port=lambda: self.audio_port,
            loop=self._loop,
        )
        self._audio = AudioOutput(ticket.device_id, audio_port=lambda: self.audio_port, loop=self._loop)
        self._recordings: set[Recording] = set()
        self._meter = StreamMeter(
            time.monotonic_ns,
            lambda: sum(inlet.receiver.counters.video_gaps for inlet in self._connection.inlets),
        )
        self._fanout.add(self._history)
        self._fanout.add(self._frames)
        self._fanout.add(self._audio)
        self._fanout.add(self._meter)
        self._error: Exception | None = None
        self._is_over = False
        self._reconnector = Reconnector(
            cloud,
            ticket,
            self._fanout,
            options=options,
            reconnect=reconnect,
            prepare=prepare,
            events=events,
        )
        self._task = asyncio.create_task(self._run(), name=f"session {ticket.device_id}")

    @property
    def _connection(self) -> Connection:
        return self._reconnector.connection

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
        assert self._events.state is not None  # noqa: S101 - told before there is a session
        return self._events.state

    def events(self) -> EventIterator:
        """Return an async iterator of what happens to the session, from the event of its present state on.

        Several may be read at once. A consumer more than 100 events behind loses the oldest ones. Iteration ends after
        "closed".
        """
        self._loop.check()
        return self._events.iterate()

    def __aiter__(self) -> FrameIterator:
        """Iterate the decoded frames with the policy "latest"."""
        return self.frames()

    def frames(
        self,
        policy: Policy = "latest",
        *,
        max_fps: float | None = None,
        repeat: bool = False,
        limit: int = EVERY_LIMIT,
    ) -> FrameIterator:
        """Return an async iterator of decoded frames. Several may be read at once; each frame is decoded once.

        The first frame comes at once if one is known, also on a still screen. Nothing is decoded while nobody iterates.
        An iterator that the program drops, such as by `break`, is closed. An iterator that the program keeps and does
        not read stops the decoder after 600 frames; the next read starts it again.

        Args:
            policy: "latest": a slow consumer gets the newest frame and skips the others. "every": it gets all of them.
            max_fps: At most so many frames a second, the newest each time. None sets no limit. A still screen gives
                nothing new, so the iterator waits.
            repeat: Exactly `max_fps` frames a second from the first one on, also while the stream is interrupted. Where
                nothing new came, the last frame comes again, with `is_repeat` set. It needs `max_fps` and "latest".
            limit: For "every": how many frames the consumer may be behind before it gets FramesOverflowError.

        Raises:
            ConfigurationError: The policy, rate or limit is wrong, or this is not the session's event loop.
        """
        return self._frames.frames(policy, max_fps=max_fps, repeat=repeat, limit=limit)

    async def screenshot(self, *, timeout_s: float = 10.0) -> VideoFrame:
        """Return the frame that is on the screen, also on a still one, and whether or not anybody iterates.

        While somebody iterates, that is the last frame decoded, at once. Otherwise what came since the last keyframe is
        decoded first. While the stream is interrupted, this waits for it to resume, and then for a new frame; a screen
        that sends none within 3 s is still, and its last frame is returned.

        Args:
            timeout_s: How long all of it may take, in seconds.

        Raises:
            ConnectionFailedError: No frame came in time.
            StreamerError: What ended the session, if it has ended.
        """
        self._loop.check()
        if not timeout_s > 0:
            raise ConfigurationError(f"expected timeout_s above 0, got {timeout_s}")
        async with within(timeout_s, lambda: self._no_frame(timeout_s)):
            async for _ in self.events():
                if not self._reconnector.is_interrupted:
                    break
            if self._is_over:
                raise self._error or ConnectionLostError("there is no frame to be had: the session was left")
            async with self.frames() as frames:
                try:
                    return await self._present(frames)
                except StopAsyncIteration:
                    raise ConnectionLostError("there is no frame to be had: the session was left") from None

    async def _present(self, frames: FrameIterator) -> VideoFrame:
        """Return the first frame; but not one from before an interruption that has ended just now."""
        frame = await anext(frames)
        status = self.status
        left_s = status.at + STILL_AFTER_S - time.time()
        if status.kind == "resumed" and frame.received_at < status.at and left_s > 0:
            self.request_keyframe()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    while frame.received_at < status.at:
                        frame = await anext(frames)
        return frame

    def _no_frame(self, timeout_s: float) -> ConnectionFailedError:
        if self._reconnector.is_interrupted:
            message = f"no frame came within {timeout_s:g} s: the stream is interrupted"
            return ConnectionFailedError(": ".join(filter(None, [message, self.status.reason])), stage="media")
        stats = self.stats()
        return ConnectionFailedError(
            f"no frame came within {timeout_s:g} s; of the session so far: {stats.packets_received} packets, "
            f"{stats.frames_received} frames, {stats.pli_count + stats.fir_count} requests for a keyframe",
            stage="media",
        )

    def audio(
        self,
        sample_format: SampleFormat = "s16",
        *,
        rate: int = 48_000,
        layout: Layout = "stereo",
    ) -> AudioIterator:
        """Return an async iterator of the phone's audio. Several may be read at once; it is decoded once.

        Lost packets and pauses are filled, so that there are as many samples as time has passed on the phone's clock. A
        gap of more than two seconds is not filled: the next chunk has `discontinuity` set. A consumer more than 5 s
        behind loses the oldest audio. Nothing is decoded while nobody iterates. A phone without audio gives nothing
        until the end.

        Args:
            sample_format: "s16" (int16) or "f32" (float32 from -1 to 1).
            rate: Samples a second, from 8000 to 48000.
            layout: "mono" or "stereo".

        Raises:
            ConfigurationError: The format, rate or layout is wrong, or this is not the session's event loop.
        """
        return self._audio.audio(sample_format, rate=rate, layout=layout)

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
            raise self._error or ConnectionLostError("there is nothing to record: the session was left")
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
            limits=Limits(
                segment_s=segment_s,
                segment_bytes=segment_bytes,
                max_duration_s=max_duration_s,
                max_bytes=max_bytes,
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
        waiting = asyncio.ensure_future(self._reconnector.connected.wait())
        try:
            await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
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
        """Wait until the phone's data channel `input` is open.

        Raises:
            StreamerError: What ended the session before that.
        """
        self._loop.check()
        while not (connection := self._connection).input_opened.is_set():
            waiting = [asyncio.ensure_future(event.wait()) for event in (connection.input_opened, connection.ended)]
            try:
                await asyncio.wait({self._task, *waiting}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
            if self._error is not None:
                raise self._error

    def stats(self) -> Stats:
        """Return a snapshot of the session's counters."""
        self._loop.check()
        now_ns = time.monotonic_ns()
        receivers = self._reconnector.receivers
        came = self._reconnector.counters()
        round_trips = [receiver.round_trip for receiver in receivers if receiver.round_trip.is_measured]
        stream, hub, decoder, decoding = self._meter, self._frames.hub, self._frames.counters, self._frames.meter
        audio = self._audio.counters
        return Stats(
            state=self.state,
            duration_s=stream.duration_s(),
            interruptions=self._events.interruptions.count,
            interrupted_s=self._events.interruptions.total_s(time.monotonic()),
            packets_received=came.packets,
            packets_lost=self._reconnector.packets_lost(),
            retransmitted_packets_received=came.recovered,
            packets_malformed=came.malformed,
            packets_unknown=came.unknown_payload_type,
            packets_refused=came.refused,
            packets_duplicated=came.duplicated,
            bytes_received=came.bytes,
            bitrate_bps=8 * stream.bytes.per_second(now_ns),
            jitter_s=max((receiver.jitter_s for receiver in receivers), default=0.0),
            round_trip_time_s=_seconds(round_trips[0].smoothed_ns if round_trips else None),
            nack_count=came.nacks,
            retransmission_requests=came.retransmission_requests,
            pli_count=came.plis,
            fir_count=came.firs,
            frames_received=came.frames,
            frames_lost=came.frames_lost,
            frames_malformed=came.frames_malformed,
            frames_awaiting_keyframe=came.frames_awaiting_keyframe + decoder.passed_over + decoder.awaiting_keyframe,
            frames_per_second=stream.frames.per_second(now_ns),
            freeze_count=stream.freezes.count,
            total_freezes_duration_s=stream.freezes.total_ns / 1e9,
            audio_packets_received=came.audio_packets_received,
            audio_packets_decoded=audio.decoded,
            audio_errors=audio.errors,
            audio_overflows=audio.overflows,
            concealed_audio_s=audio.concealed / 48_000,
            frames_decoded=decoder.decoded,
            decode_errors=decoder.errors,
            frames_too_large=decoder.too_large,
            frames_corrupt=decoder.corrupt,
            decoder_overflows=decoder.overflows,
            frames_skipped=hub.skipped,
            total_decode_time_s=decoder.decode_ns / 1e9,
            mean_decode_s=_seconds(decoding.decoding.mean(now_ns)),
            mean_delay_s=_seconds(decoding.delay.mean(now_ns)),
            mean_latency_s=_seconds(decoding.latency.mean(now_ns)),
            frame_width=hub.last.width if hub.last else None,
            frame_height=hub.last.height if hub.last else None,
        )

    async def aclose(self) -> None:
        """Leave the phone and close everything; recordings are finished first. A cancellation waits for that."""
        self._loop.check()
        self._task.cancel()
        try:
            await to_the_end(self._task)
        finally:
            if self._task.cancelled():
                await self._finish()  # once more, for a task that was cancelled before it began

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _run(self) -> None:
        watching = asyncio.create_task(self._watch_troubles(), name="troubles")
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
        recordings = list(self._recordings)
        for recording in recordings:
            recording.end(self._error)
        await asyncio.gather(*(recording.closed() for recording in recordings))
        await self._frames.aclose(self._error)
        self._events.tell("closed", error=self._error)
        await self._audio.aclose(self._error)

    async def _watch_troubles(self) -> None:
        """Emit a "problem" for what keeps going wrong."""
        troubles = LastingTroubles()
        while True:
            came, decoder = self._reconnector.counters(), self._frames.counters
            counts = {
                "packets keep failing authentication: damaged on the way, or not the phone's": came.refused,
                "packets keep coming with payload types that were not negotiated": came.unknown_payload_type,
                "the decoder keeps refusing frames": decoder.errors,
                "frames keep coming damaged": decoder.corrupt,
            }
            for problem in troubles.look(counts):
                self._events.tell("problem", problem)
            await asyncio.sleep(LOOK_EVERY_S)

    def _keep_past(self) -> None:
        """Ask for a keyframe that the history needs, unless there is a decoder that makes up for it."""
        if self._preroll_s or not self._frames.hub.is_watched:
            self.request_keyframe()


def _seconds(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e9
