"""The rivals, each run in a process of its own: receives (or, for the floor, only decodes) a clip and measures itself.

Speaks JSON lines: reads the offer, prints its answer; at the end prints CPU seconds, the pictures and when each came.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import uvloop
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRecorder
from aiortc.mediastreams import MediaStreamError

from benchmarks.clips import CLIPS, DIRECTORY, Clip, access_units
from streamer.media.fanout import Fanout
from streamer.media.inlet import Inlet
from streamer.media.mux import Recording
from streamer.media.pictures import Pictures
from streamer.media.receiver import Receiver
from streamer.phone import read_barcode
from streamer.rtc.peer import Peer
from streamer.tracks import Track

WARM_UP: Final = 1.5  # seconds of the clip that do not count: connecting, loading, the first keyframe


class Measurement:
    """When each picture came, and the CPU time between the end of the warm-up and the last picture."""

    def __init__(self, clip: Clip) -> None:
        self.arrivals_ns: dict[int, int] = {}
        self._warm_up = round(WARM_UP * clip.fps)
        self._first: tuple[int, float] | None = None
        self._last: tuple[int, float] = (0, 0.0)

    def picture(self, frame: av.VideoFrame) -> None:
        """Note a decoded picture."""
        now_ns = time.monotonic_ns()
        barcode = read_barcode(_luma_of_strip(frame))
        if barcode is not None:
            self.arrivals_ns[barcode.counter] = now_ns
            self.progress(barcode.counter)

    def progress(self, number: int) -> None:
        """Note that the clip has come to picture `number`."""
        if number >= self._warm_up:
            self._last = (number, time.process_time())
            self._first = self._first or self._last

    def result(self) -> dict[str, Any]:
        """Return the figures."""
        first, last = self._first or (0, 0.0), self._last
        return {
            "arrivals_ns": self.arrivals_ns,
            "cpu_s": last[1] - first[1],
            "pictures": last[0] - first[0],
            "peak_kb": _peak_kb(),
        }


def _peak_kb() -> int:
    """Return this process's peak resident size; `getrusage` would count the parent's, from before `exec`."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def _luma_of_strip(frame: av.VideoFrame) -> Any:
    """Return the picture's luma without converting or copying anything."""
    plane = frame.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]


async def floor(clip: Clip, measurement: Measurement) -> None:
    """The least anything can cost: the same decode, at the same pace, without a network."""
    decoder = av.VideoCodecContext.create("h264", "r")
    decoder.thread_count = 1
    start = time.monotonic()
    for number, (_, data) in enumerate(access_units(clip)):
        await asyncio.sleep(start + number / clip.fps - time.monotonic())
        for frame in decoder.decode(av.Packet(data)):
            measurement.picture(frame)


async def by_streamer(clip: Clip, measurement: Measurement) -> None:
    """This package, decoding."""
    del clip

    async def consume(peer: Peer, pictures: Pictures) -> None:
        async for frame in pictures.frames("latest", max_fps=None, limit=60):
            measurement.picture(frame.picture)
            del frame
        await peer.ended.wait()

    await _with_streamer(consume)


async def streamer_recording(clip: Clip, measurement: Measurement) -> None:
    """This package, recording: nothing is decoded."""

    async def consume(peer: Peer, pictures: Pictures) -> None:
        del pictures
        await peer.ended.wait()

    await _with_streamer(consume, record=DIRECTORY / f"{clip.name}-streamer.mp4", measurement=measurement)


async def _with_streamer(
    consume: Callable[[Peer, Pictures], Awaitable[None]],
    *,
    record: Path | None = None,
    measurement: Measurement | None = None,
) -> None:
    fanout = Fanout()
    inlets: list[Inlet] = []

    def make_input(tracks: list[Track]) -> Inlet:
        inlets.append(Inlet(Receiver(tracks, own_ssrc=1, cname="bench"), fanout))
        return inlets[0]

    peer = Peer(
        ice_servers=[],
        loopback=False,
        make_input=make_input,
        on_candidate=lambda *_: None,
        input_opened=asyncio.Event(),
    )
    pictures = Pictures("bench", request_keyframe=lambda: None, audio_port=lambda: None)
    recording = None
    if record is None:
        fanout.add(pictures)
    else:
        recording = Recording(record, has_audio=False, on_end=fanout.remove)
        fanout.add(recording)
        fanout.add(_Progress(measurement))
    try:
        _say({"answer": await peer.answer(await _offer())})
        ended = asyncio.ensure_future(peer.ended.wait())
        ended.add_done_callback(lambda _: pictures.hub.end(None))
        await consume(peer, pictures)
    finally:
        if recording is not None:
            await recording.stop()
        await pictures.aclose()
        await peer.aclose()
        for inlet in inlets:
            inlet.close()


class _Progress:
    """A sink that counts pictures for the measurement."""

    def __init__(self, measurement: Measurement | None) -> None:
        self._measurement = measurement
        self._count = 0

    def put(self, unit: object) -> None:
        """Count one."""
        del unit
        self._count += 1
        if self._measurement is not None:
            self._measurement.progress(self._count)


async def by_aiortc(clip: Clip, measurement: Measurement) -> None:
    """aiortc as it comes: `track.recv()`."""
    del clip
    connection, track = await _aiortc()
    try:
        while True:
            frame = await track.recv()
            measurement.picture(frame)
    except MediaStreamError:
        pass
    finally:
        await connection.close()


async def aiortc_recording(clip: Clip, measurement: Measurement) -> None:
    """aiortc's MediaRecorder to MP4: it decodes and encodes."""
    connection, track = await _aiortc()
    recorder = MediaRecorder(str(DIRECTORY / f"{clip.name}-aiortc.mp4"))

    count = 0
    receive = track.recv

    async def recv() -> Any:
        nonlocal count
        frame = await receive()
        count += 1
        measurement.progress(count)
        return frame

    track.recv = recv
    recorder.addTrack(track)
    await recorder.start()
    ended = asyncio.Event()
    track.on("ended", ended.set)
    await ended.wait()
    await recorder.stop()
    await connection.close()


async def _aiortc() -> tuple[RTCPeerConnection, Any]:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    tracks: list[Any] = []
    connection.on("track", tracks.append)
    await connection.setRemoteDescription(RTCSessionDescription(await _offer(), "offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    _say({"answer": connection.localDescription.sdp})
    return connection, tracks[0]


async def _offer() -> str:
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    return str(json.loads(line)["offer"])


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


RIVALS: Final = {
    "floor": (floor, False),
    "streamer": (by_streamer, False),
    "streamer + uvloop": (by_streamer, True),
    "aiortc": (by_aiortc, False),
    "aiortc + uvloop": (by_aiortc, True),
    "streamer recording": (streamer_recording, False),
    "aiortc MediaRecorder": (aiortc_recording, False),
}


def main(rival: str, clip: Clip) -> None:
    receive, fast = RIVALS[rival]
    measurement = Measurement(clip)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if fast else None) as runner:
        runner.run(receive(clip, measurement))
    _say(measurement.result())


if __name__ == "__main__":
    main(sys.argv[1], next(clip for clip in CLIPS if clip.name == sys.argv[2]))
