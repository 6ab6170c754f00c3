"""`Page`: one open page of the viewer. It is sent what happens on the phone, and its hands act on the phone."""

import asyncio
import contextlib
import functools
import time
from datetime import datetime
from typing import Any, Final

from websockets.asyncio.server import ServerConnection

from streamer import Recording, Session, StreamerError, VideoFrame
from streamer.viewer import messages
from streamer.viewer.forms import Mp4Fragments, StreamForm, Units
from streamer.viewer.hands import Hands
from streamer.viewer.messages import Command, Form, Press, Record, Refresh, RefusedError, Save, Show, Touch, Type
from streamer.viewer.pace import Pace

STATS_EVERY_S: Final = 1.0
STATS: Final = (  # what a page shows
    "frames_per_second",
    "bitrate_bps",
    "packets_received",
    "packets_lost",
    "jitter_s",
    "round_trip_time_s",
    "freeze_count",
    "total_freezes_duration_s",
    "interruptions",
    "pli_count",
)
JPEG_FPS: Final = 15  # for a page that decodes no stream


class Page:
    """An open page. It stays open after the session has ended, and says so."""

    def __init__(self, connection: ServerConnection, session: Session, *, read_only: bool, phones: list[str]) -> None:
        self._connection = connection
        self._session = session
        self._read_only = read_only
        self._phones = phones
        self._show: Show = Show(is_visible=False)
        self._shown = asyncio.Event()  # what `_show` says has changed
        self._hands = Hands(session, self._say_error)
        self._recording: Recording | None = None

    async def run(self) -> None:
        """Serve the page until it is closed."""
        await self._say(
            "hello",
            phone=self._session.instance_id,
            phones=self._phones,
            readOnly=self._read_only,
            saveSeconds=self._session.preroll_s,
        )
        async with asyncio.TaskGroup() as tasks:
            others = [tasks.create_task(each()) for each in (self._send_media, self._send_events, self._send_stats)]
            try:
                async with self._hands:
                    async for message in self._connection:
                        await self._receive(message)
            finally:
                for other in others:
                    other.cancel()
                if self._recording is not None:
                    await self._recording.stop()

    async def _send_media(self) -> None:
        while True:
            self._shown.clear()
            if not self._show.is_visible:
                await self._shown.wait()
                continue
            sending = asyncio.create_task(self._send_video(self._show.form))
            changed = asyncio.create_task(self._shown.wait())
            try:
                await asyncio.wait({sending, changed}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
                    return
            finally:
                for task in (sending, changed):
                    task.cancel()
                await asyncio.wait({sending, changed})

    async def _send_video(self, form: Form) -> None:
        """Send what the phone shows until the session ends."""
        if form == "jpeg":
            await self._send_images()
        else:
            await self._send_stream(Units() if form == "units" else Mp4Fragments())

    async def _send_stream(self, form: StreamForm) -> None:
        pace = Pace(time.monotonic_ns())
        with contextlib.suppress(StreamerError):  # the event "closed" tells it
            async with self._session.access_units() as units:
                async for unit in units:
                    now_ns = time.monotonic_ns()
                    if not pace.sends(unit, now_ns):
                        if pace.asks_keyframe(now_ns):
                            self._session.request_keyframe()
                        continue
                    take = functools.partial(form.take, unit, is_old=unit.arrival_ns <= pace.began_ns)
                    is_key = unit.kind == "video" and unit.is_keyframe
                    for message in await asyncio.to_thread(take) if is_key else take():
                        await self._connection.send(message)

    async def _send_images(self) -> None:
        with contextlib.suppress(StreamerError):
            async for frame in self._session.frames(max_fps=JPEG_FPS):
                jpeg = await asyncio.to_thread(_to_jpeg, frame)
                await self._connection.send(messages.image_message(jpeg, frame))

    async def _send_events(self) -> None:
        async for event in self._session.events():
            facts = {"at": event.at, "reason": event.reason, "retryInS": event.retry_in_s}
            await self._say("event", kind=event.kind, error=event.error and str(event.error), **facts)

    async def _send_stats(self) -> None:
        while True:
            stats = self._session.stats()
            await self._say("stats", **{name: getattr(stats, name) for name in STATS})
            await asyncio.sleep(STATS_EVERY_S)

    async def _receive(self, message: str | bytes) -> None:
        try:
            await self._do(messages.read_command(message))
        except (RefusedError, StreamerError) as error:
            await self._say_error(error)

    async def _do(self, command: Command) -> None:
        match command:
            case Show():
                self._show = command
                self._shown.set()
            case Refresh():
                self._session.request_keyframe()
            case _ if self._read_only:
                raise RefusedError("this viewer only shows the phone: it was started read-only")
            case Record(is_on=True) if self._recording is None:
                self._recording = self._session.record(self._new_name())
                await self._say("recording", on=True)
            case Record(is_on=False) if self._recording is not None:
                recording, self._recording = self._recording, None
                path = None
                try:
                    await recording.stop()
                    path = str(recording.path)
                finally:  # the recording has ended, whether or not an error follows
                    await self._say("recording", on=False, path=path)
            case Save():
                async with self._session.record(self._new_name(), before_s=command.seconds) as saved:
                    pass
                await self._say("saved", path=str(saved.path))
            case Touch() | Press() | Type():
                self._hands.do(command)
            case _:
                pass

    def _new_name(self) -> str:
        now = datetime.now().astimezone()
        return f"{self._session.instance_id}-{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03}.mp4"

    async def _say(self, what: str, **facts: Any) -> None:
        await self._connection.send(messages.said(what, **facts))

    async def _say_error(self, error: Exception) -> None:
        await self._say("error", text=str(error))


def _to_jpeg(frame: VideoFrame) -> bytes:
    return frame.encode("jpeg")
