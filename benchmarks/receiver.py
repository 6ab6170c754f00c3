"""A receiver in a process of its own: takes (or, for the floor, only decodes) a stream and measures itself.

argv: a task, and its options as JSON. It reads the offer and prints its answer; what it found comes when the sender
has gone.
"""

import asyncio
import fractions
import json
import resource
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import av
import numpy as np
import uvloop
from aiortc.contrib.media import MediaRecorder

from benchmarks.clips import DIRECTORY, access_units, clip_named
from benchmarks.rivals import RIVALS, Aiortc, Rival, Streamer, fingerprint
from streamer.media.playback.pixels import Conversion
from streamer.media.recording.recording import Recording
from tests.support.evidence import read_counter
from tests.support.processes import listen, say, usage

WARM_UP: Final = 1.5  # seconds of the clip that do not count: connecting, loading, the first keyframe
GUARD_KB: Final = 1_500_000  # a receiver that holds so much stops by itself
GUARD_ADDRESSES: Final = 12 * 1024**3  # and the kernel stops one that cannot


class Measurement:
    """When each frame came, and the CPU time between the end of the warm-up and the last frame."""

    def __init__(self, fps: int) -> None:
        self.arrivals_ns: dict[int, int] = {}
        self._warm_up = round(WARM_UP * fps)
        self._first: tuple[int, float] | None = None
        self._last: tuple[int, float] = (0, 0.0)

    def frame(self, frame: av.VideoFrame) -> None:
        """Note a decoded frame."""
        now_ns = time.monotonic_ns()
        counter = read_counter(frame)
        if counter is not None:
            self.arrivals_ns[counter] = now_ns
            self.progress(counter)

    def progress(self, number: int) -> None:
        """Note that the clip has come to frame `number`."""
        if number >= self._warm_up:
            self._last = (number, time.process_time())
            self._first = self._first or self._last

    def result(self) -> dict[str, Any]:
        """Return the figures."""
        first, last = self._first or (0, 0.0), self._last
        return {
            "arrivals_ns": self.arrivals_ns,
            "cpu_s": last[1] - first[1],
            "frames": last[0] - first[0],
            "peak_kb": usage().peak_kb,
        }


async def floor(clip: str, count: int | None = None, pixels: str = "") -> dict[str, Any]:
    """The least anything can cost: the same decode, at the same pace, without a network.

    With `pixels`, each frame is also converted to BGR, always in the same memory.
    """
    made = clip_named(clip)
    convert, warm = Conversion("bgr24"), np.zeros((made.height, made.width, 3), np.uint8)
    measurement = Measurement(made.fps)
    decoder = av.VideoCodecContext.create("h264", "r")
    decoder.thread_count = 1
    start = time.monotonic()
    decode_ns = []
    for number, (_, data) in enumerate(access_units(made)[:count]):
        await asyncio.sleep(start + number / made.fps - time.monotonic())
        began_ns = time.monotonic_ns()
        frames = decoder.decode(av.Packet(data))
        decode_ns.append(time.monotonic_ns() - began_ns)
        for frame in frames:
            if pixels:
                convert(frame, warm)
            measurement.frame(frame)
    return measurement.result() | {"decode_ns": decode_ns}


async def watch(rival: str, clip: str, pixels: str = "") -> dict[str, Any]:
    """Take every frame and read its number.

    `pixels` says how each becomes BGR: "frames" asks the iterator for it, "to_ndarray" and "pyav" convert in the loop.
    """
    measurement = Measurement(clip_named(clip).fps)
    receiver = await _connect(rival)
    held: Any = None  # as a consumer holds its last array
    try:
        if pixels == "frames" and isinstance(receiver, Streamer):
            async for shown in receiver.frames("latest", Conversion("bgr24")):
                held = shown.pixels
                measurement.frame(shown.av_frame)
        else:
            async for frame in receiver.decoded_frames():
                if pixels == "to_ndarray":
                    held = Conversion("bgr24")(frame)
                elif pixels == "pyav":
                    held = frame.to_ndarray(format="bgr24")
                measurement.frame(frame)
    finally:
        await receiver.aclose()
    del held
    return measurement.result()


async def record(rival: str, clip: str) -> dict[str, Any]:
    """Record into an MP4 file; nobody looks."""
    measurement = Measurement(clip_named(clip).fps)
    path = DIRECTORY / f"{clip}-{rival}.mp4"
    receiver = await _connect(rival)
    if isinstance(receiver, Streamer):
        recording = Recording(path, overwrite=True, has_audio=False, on_end=receiver.fanout.remove)
        receiver.fanout.add(recording)
        receiver.fanout.add(_Progress(measurement))
        await receiver.peer.ended.wait()
        await recording.stop()
    elif isinstance(receiver, Aiortc):
        await _record_by_aiortc(receiver.tracks[0], str(path), measurement)
    await receiver.aclose()
    return measurement.result()


class _Progress:
    """A sink that counts frames for the measurement."""

    def __init__(self, measurement: Measurement) -> None:
        self._measurement = measurement
        self._count = 0

    def put(self, unit: object) -> None:
        """Count one."""
        del unit
        self._count += 1
        self._measurement.progress(self._count)


async def _record_by_aiortc(track: Any, path: str, measurement: Measurement) -> None:
    count = 0
    receive = track.recv

    async def recv() -> Any:
        nonlocal count
        frame = await receive()
        count += 1
        measurement.progress(count)
        return frame

    track.recv = recv
    recorder = MediaRecorder(path)
    recorder.addTrack(track)
    context: Any = recorder._MediaRecorder__tracks[track]  # type: ignore[attr-defined]
    # As it comes it makes its encoder for 30 fps, and a stream of 60 ends in "Invalid argument".
    context.stream.codec_context.time_base = fractions.Fraction(1, 90_000)
    await recorder.start()
    ended = asyncio.Event()
    track.on("ended", ended.set)
    await asyncio.wait({asyncio.ensure_future(ended.wait()), context.task}, return_when=asyncio.FIRST_COMPLETED)
    if context.task.done() and (error := context.task.exception()) is not None:
        print(f"MediaRecorder failed after {count} frames: {error}", file=sys.stderr)
        return
    try:
        await recorder.stop()
    except av.FFmpegError as error:  # its audio and frame may end in an order that it cannot write
        print(f"MediaRecorder failed to end its file after {count} frames: {error}", file=sys.stderr)


async def slow(rival: str, clip: str, seconds: float, interval_s: float) -> dict[str, Any]:
    """Take a frame, be busy for a while, take the next: for so long, or until this process holds too much."""
    resource.setrlimit(resource.RLIMIT_AS, (GUARD_ADDRESSES, GUARD_ADDRESSES))
    frames = len(access_units(clip_named(clip)))
    taken: list[tuple[int, int, int]] = []  # which frame, when (ns), RSS (kB)
    loops = 0
    receiver = await _connect(rival)
    async for frame in receiver.decoded_frames():
        now_ns = time.monotonic_ns()
        counter = read_counter(frame)
        if counter is not None:
            loops += bool(taken) and counter + loops * frames < taken[-1][0]
            taken.append((counter + loops * frames, now_ns, usage().rss_kb))
        if taken and (now_ns - taken[0][1] > seconds * 1e9 or taken[-1][2] > GUARD_KB):
            break
        await asyncio.sleep(interval_s)
    await receiver.aclose()
    return {"taken": taken}


async def lossy(rival: str) -> dict[str, Any]:
    """Note each frame that comes, when, and what is in it."""
    frames: list[tuple[int | None, int, int]] = []
    receiver = await _connect(rival)
    async for frame in receiver.decoded_frames("every"):
        now_ns = time.monotonic_ns()
        frames.append((read_counter(frame), now_ns, fingerprint(frame)))
    await receiver.aclose()
    return {"frames": frames}


async def answering(rival: str, ice_servers: list[dict[str, Any]], rounds: int) -> dict[str, Any]:
    """Answer the same offer with and without ICE servers, in turn; say how long each took."""
    offer = (await listen())["offer"]
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    for number in range(rounds + 1):
        for name, servers in (("without", []), ("with", ice_servers)):
            receiver = RIVALS[rival](servers)
            start = time.monotonic()
            await receiver.answer(offer)
            if number:  # the first answers also load what is loaded late
                seconds[name].append(time.monotonic() - start)
            await receiver.aclose()
    return seconds


async def _connect(rival: str) -> Rival:
    receiver: Rival = RIVALS[rival]()
    say({"answer": await receiver.answer((await listen())["offer"])})
    return receiver


TASKS: Final[dict[str, Callable[..., Coroutine[Any, Any, dict[str, Any]]]]] = {
    "floor": floor,
    "watch": watch,
    "record": record,
    "slow": slow,
    "lossy": lossy,
    "answering": answering,
}


def main(task: str, options: str) -> None:
    """Run a task and say what it found."""
    arguments = json.loads(options)
    fast = arguments.pop("uvloop", False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if fast else None) as runner:
        say(runner.run(TASKS[task](**arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
