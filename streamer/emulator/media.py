"""The emulator's camera on itself: a thread draws and encodes frames, audio comes from the loop; clients get them all.

Both are real: libx264 and libopus through PyAV. Each frame is encoded once, whoever watches, and none while nobody
does: the thread then sleeps. The encoder has its cheapest settings, as a phone's is a circuit that costs no CPU.
"""

import asyncio
import fractions
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.video.frame import PictureType

from streamer.emulator.apps import Desktop
from streamer.emulator.device import DeviceEvent, LetGo, Turn
from streamer.emulator.faults import Faults
from streamer.emulator.melody import AUDIO_SAMPLES, FLASH_S, shared_melody
from streamer.emulator.packing import nal_units_of
from streamer.emulator.picture import Picture
from streamer.emulator.screen import DARK_S, SCENE_S, shared_screen

VIDEO_CLOCK: Final = fractions.Fraction(1, 90_000)
KEYFRAME_EVERY_S: Final = 10
_PACKETS_A_SECOND: Final = 48_000 / AUDIO_SAMPLES
_FINEST: Final = 20  # of the encoder's quantizers: with finer ones it spends a still screen's bits on what nobody sees
IDR, PARAMETER_SETS = 5, (7, 8)  # types of NAL units
START_CODE: Final = b"\x00\x00\x00\x01"
EVENTS_LIMIT: Final = 1000  # events for the apps that have not yet been seen to; with one more, they are forgotten
TRACK_LIMIT: Final = 30  # packets that a client has not yet sent: then its video goes on at the next keyframe


class EncodedTrack(MediaStreamTrack):
    """One client's share: encoded packets, handed over as they are made. Holds TRACK_LIMIT of them."""

    def __init__(self, kind: str, media: "PhoneMedia") -> None:
        super().__init__()
        self.kind = kind
        self._media = media
        self._packets: deque[av.Packet[Any]] = deque()
        self._arrived = asyncio.Event()
        self._needs_keyframe = kind == "video"
        self.made_at: float | None = None  # monotonic seconds: the moment that the last packet taken shows
        self._is_read = False

    @property
    def is_read(self) -> bool:
        """Whether a client takes packets from it."""
        return self._is_read and self.readyState == "live"

    def put(self, packet: "av.Packet[Any]") -> None:
        """Offer a packet; belongs to the event loop. Before the client is connected, nobody wants any."""
        if not self._is_read:
            return
        if self._needs_keyframe:
            if not packet.is_keyframe:
                return
            self._needs_keyframe = False
        if len(self._packets) >= TRACK_LIMIT:
            self._packets.clear()
            if self.kind == "video":
                self._needs_keyframe = True
                self._media.make_keyframe()
                return
        self._packets.append(packet)
        self._arrived.set()

    async def recv(self) -> Any:
        """Return the next packet; aiortc packs it as it is. It asks first when the client is connected."""
        if not self._is_read:
            self._is_read = True
            self._media.make_keyframe()
            self._media.look_for_readers()
        while not self._packets:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        packet = self._packets.popleft()
        self._media.on_sent(self.kind, packet)
        if packet.pts is not None and packet.time_base is not None:
            self.made_at = self._media.origin + float(packet.pts * packet.time_base)
        return packet

    def stop(self) -> None:
        """End the track."""
        super().stop()
        self._arrived.set()
        self._media.leave(self)


class PhoneMedia:
    """The phone's video and audio. `close` ends both; `join` one and its packets come by themselves."""

    def __init__(
        self,
        *,
        width: int,
        height: int,
        fps: int,
        bitrate_bps: int,
        audio: bool,
        flash_and_beep: bool = False,
        desktop: Desktop | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.frames_sent = 0
        self.on_sent: Callable[[str, av.Packet[Any]], None] = lambda *_: None  # hears of each packet a client is sent
        self.keyframe_requests = 0
        self.width, self.height = width, height
        self.fps = fps
        self.is_still = False
        self.has_audio = audio
        self.volume = 100
        self._flashes = flash_and_beep
        self._faults = faults or Faults()
        self.bitrate_bps = bitrate_bps
        self._loop = asyncio.get_running_loop()
        self._tracks: set[EncodedTrack] = set()
        self._wants_keyframe = True
        self._closing = threading.Event()
        self._is_watched = threading.Event()
        self._desktop = desktop
        self._drawing = threading.Lock()  # held while the apps are at work
        self._events: deque[tuple[float, DeviceEvent]] = deque()  # after when each came
        self._screens = {} if desktop is not None else {(width, height): shared_screen(width, height)}
        self.origin = time.monotonic()  # the moment that is zero for both video and audio
        self._playing: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._show, name="phone screen", daemon=True)
        self._thread.start()

    def join(self, kind: str) -> EncodedTrack:
        """Return a new client's track; a video track begins with a keyframe, which is made for it."""
        track = EncodedTrack(kind, self)
        self._tracks.add(track)
        return track

    def leave(self, track: EncodedTrack) -> None:
        """Give a track no more."""
        self._tracks.discard(track)
        self.look_for_readers()

    def look_for_readers(self) -> None:
        """Draw and play while a client takes what comes, and only then."""
        if any(track.is_read for track in self._tracks):
            self._is_watched.set()
            if self.has_audio and self._playing is None:
                self._play_at(math.ceil((time.monotonic() - self.origin) * _PACKETS_A_SECOND))
        elif not self._closing.is_set():
            self._is_watched.clear()
            self._stop_playing()

    def request_keyframe(self) -> None:
        """Answer a client that asks for a keyframe."""
        self.keyframe_requests += 1
        self.make_keyframe()

    def make_keyframe(self) -> None:
        """Make the next frame a keyframe; on a still screen, send the frame again as one."""
        self._wants_keyframe = self._wants_keyframe or not self._faults.no_keyframes

    def rotate(self) -> None:
        """Turn the phone by a quarter."""
        if self._desktop is not None:
            self.receive(Turn())
            return
        size = (self.height, self.width)
        if size not in self._screens:
            self._screens[size] = shared_screen(*size)
        self.width, self.height = size

    def receive(self, event: DeviceEvent) -> None:
        """Let the apps on the screen hear of an event; the moving demonstration answers to none."""
        if self._desktop is None:
            return
        came_at = time.monotonic() - self.origin
        if len(self._events) >= EVENTS_LIMIT:  # a lost UP would leave a finger on the screen
            self._events.clear()
            self._events.append((came_at, LetGo()))
        self._events.append((came_at, event))

    @property
    def in_front(self) -> str:
        """The package of the app that is in front; "" without apps."""
        if self._desktop is None:
            return ""
        if not self._is_watched.is_set():  # the thread that draws sleeps, and nobody has seen to what came since
            with self._drawing:
                self._see_to_events(self._desktop, time.monotonic() - self.origin)
        return self._desktop.in_front

    async def close(self) -> None:
        """End the thread and the audio."""
        self._closing.set()
        self._is_watched.set()
        self._stop_playing()
        await asyncio.to_thread(self._thread.join)
        for track in list(self._tracks):
            track.stop()

    def _hand_out(self, kind: str, packet: "av.Packet[Any]") -> None:
        for track in self._tracks:
            if track.kind == kind:
                track.put(packet)

    def _tell(self, kind: str, packet: "av.Packet[Any]") -> None:
        if not self._closing.is_set():
            self._loop.call_soon_threadsafe(self._hand_out, kind, packet)

    def _wait_until(self, moment_s: float) -> float | None:
        """Wait for a moment, in seconds since the origin, and return it; None when the end has come.

        While nobody watches, time goes on and nothing is due: then it is the moment at which somebody does again.
        """
        while not self._closing.wait(max(self.origin + moment_s - time.monotonic(), 0)):
            if self._is_watched.is_set():
                return moment_s
            self._is_watched.wait()
            moment_s = max(moment_s, time.monotonic() - self.origin)
        return None

    def _show(self) -> None:
        encoder = None
        size, between, bitrate_bps = (0, 0), 0, 0
        held: set[int] = set()  # the times of frames that the encoder has kept so far, as one that reorders does
        picture: Picture | None = None
        is_drawn = False
        due = 0  # ticks of the video clock since the origin: the moment that the next frame shows
        while (moment_s := self._wait_until(due / 90_000)) is not None:
            now = round(moment_s * 90_000)
            due = self._due_after(now)
            is_still = self._is_still(moment_s)
            allowed = 2 if self._faults.b_frames else int(self._faults.reordering_sps)
            is_other = (size, between, bitrate_bps) != ((self.width, self.height), allowed, self.bitrate_bps)
            if is_still and not is_other and not self._wants_keyframe and not held:
                continue
            if encoder is None or picture is None or is_other:
                if encoder is not None:
                    for packet in encoder.encode(None):
                        self._tell_sent(packet)
                size, between, bitrate_bps = (self.width, self.height), allowed, self.bitrate_bps
                encoder = _video_encoder(size, self.fps, bitrate_bps, between=between, faults=self._faults)
                picture, is_drawn = Picture(*size), False
                held.clear()
            if not is_drawn or not is_still or self._wants_keyframe:
                held.add(now)  # a frame that only repeats the last one pushes that out of the encoder, and may stay
            if not is_drawn or not is_still:
                is_drawn = True
                self.frames_sent += 1  # before it is drawn: who asks once the screen is still hears of it
                self._draw(picture, self.frames_sent - 1, now)
            shown = picture.frame
            shown.pts = now
            shown.time_base = VIDEO_CLOCK
            shown.pict_type = PictureType.P if between == 1 else PictureType.NONE
            if self._wants_keyframe and not self._faults.intra_refresh:
                shown.pict_type = PictureType.I
            self._wants_keyframe = False
            for packet in encoder.encode(shown):
                held.discard(packet.pts)
                self._tell_sent(packet)

    def _tell_sent(self, packet: "av.Packet[Any]") -> None:
        """Hand an access unit out as the faults have it sent."""
        if not (self._faults.intra_refresh or self._faults.parameter_sets_apart):
            self._tell("video", packet)
            return
        nal_units = [(nal_unit[0] & 0x1F, nal_unit) for nal_unit in nal_units_of(bytes(packet))]
        if self._faults.intra_refresh and any(nal_type == IDR for nal_type, _ in nal_units):
            return  # the one at the beginning
        if self._faults.parameter_sets_apart and any(nal_type in PARAMETER_SETS for nal_type, _ in nal_units):
            for is_set in (True, False):
                part = av.Packet(
                    b"".join(
                        START_CODE + unit for nal_type, unit in nal_units if (nal_type in PARAMETER_SETS) == is_set
                    )
                )
                part.pts, part.time_base = (packet.pts or 0) - is_set, packet.time_base
                part.is_keyframe = packet.is_keyframe
                self._tell("video", part)
            return
        self._tell("video", packet)

    def _is_still(self, moment_s: float) -> bool:
        """Let the apps hear of what came until this moment; return whether the screen then is as it was."""
        if self.is_still or self._desktop is None:
            return self.is_still
        with self._drawing:
            self._desktop.set_fps(self.fps)
            self._see_to_events(self._desktop, moment_s)
            return not self._desktop.has_changed(moment_s)

    def _see_to_events(self, desktop: Desktop, moment_s: float) -> None:
        while (came := self._next_event(moment_s)) is not None:
            desktop.receive(came[1], came[0])
        self.width, self.height = desktop.size

    def _next_event(self, moment_s: float) -> tuple[float, DeviceEvent] | None:
        try:
            return self._events.popleft() if self._events[0][0] <= moment_s else None
        except IndexError:  # there are none, or the event loop has just forgotten them
            return None

    def _draw(self, picture: Picture, number: int, now: int) -> None:
        if self._desktop is not None:
            with self._drawing:
                self._desktop.draw_into(picture, now / 90_000)
            return
        screen = self._screens[picture.width, picture.height]
        if self._flashes:
            is_white = now % 90_000 < FLASH_S * 90_000
            screen.draw_into(picture, number, DARK_S + now / 90_000 % SCENE_S, is_white=is_white)
        else:
            screen.draw_into(picture, number, now / 90_000)

    def _due_after(self, shown: int) -> int:
        """Return when the next frame is due: in its turn, or at once if that is over; a flash begins on the dot."""
        due = max(shown + 90_000 // self.fps, int((time.monotonic() - self.origin) * 90_000))
        if not self._flashes:
            return due
        second = shown - shown % 90_000
        edges = (second + int(FLASH_S * 90_000), second + 90_000)
        return min(due, next(edge for edge in edges if edge > shown))

    def _play_at(self, number: int) -> None:
        """Hand the packet of this number out when its time has come, and then the next ones."""
        delay_s = self.origin + number / _PACKETS_A_SECOND - time.monotonic()
        self._playing = self._loop.call_later(max(delay_s, 0), self._play, number)

    def _play(self, number: int) -> None:
        self._hand_out("audio", shared_melody(beeps=self._flashes, volume=self.volume).packet(number))
        self._play_at(number + 1)

    def _stop_playing(self) -> None:
        if self._playing is not None:
            self._playing.cancel()
            self._playing = None


def _video_encoder(size: tuple[int, int], fps: int, bitrate_bps: int, *, between: int, faults: Faults) -> Any:
    """Return an encoder that may put so many B-frames between two other frames, and does unless it is told a type."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)  # noqa: S101 - what "libx264" is
    encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
    encoder.time_base, encoder.framerate = VIDEO_CLOCK, fractions.Fraction(fps)
    encoder.bit_rate = bitrate_bps
    keyframe_every = fps if faults.intra_refresh else KEYFRAME_EVERY_S * fps  # or recovery points
    slices = max(faults.slices, 4 if faults.marker_per_slice else 1)
    encoder.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "main" if between else "baseline",
        "forced-idr": "1",
        "x264-params": f"keyint={keyframe_every}:scenecut=0:repeat-headers=1:annexb=1:sliced-threads=0:"
        f"threads=1:qpmin={_FINEST}:vbv-maxrate={bitrate_bps // 1000}:vbv-bufsize={bitrate_bps // 1000}:"
        f"bframes={between}:b-adapt=0:b-pyramid=none:slices={slices}:intra-refresh={int(faults.intra_refresh)}",
    }
    return encoder
