"""A process that records without a network, to be measured: `write` a clip, or `remux` it with ffmpeg.

argv: a task, and its options as JSON.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from benchmarks.clips import DIRECTORY, access_units, clip_named
from streamer.media.access_unit import AccessUnit
from streamer.media.recording.recording import Recording
from streamer.tracks import Codec
from tests.support.processes import say, usage


async def write(clip: str, seconds: float) -> None:
    """Let the recorder alone write a clip, each frame at its time; say what that cost."""
    made, codec = clip_named(clip), Codec(name="h264", clock_rate=90_000)
    units = access_units(made)
    async with Recording(
        DIRECTORY / f"{clip}-alone.mp4", overwrite=True, has_audio=False, on_end=lambda _: None
    ) as recording:
        start, begun = time.monotonic(), time.process_time()
        for number in range(round(seconds * made.fps)):
            await asyncio.sleep(start + number / made.fps - time.monotonic())
            is_keyframe, data = units[number % len(units)]
            recording.put(
                AccessUnit(
                    kind="video",
                    codec=codec,
                    data=data,
                    rtp_time=number * 90_000 // made.fps,
                    ssrc=1,
                    is_keyframe=is_keyframe,
                    discontinuity=False,
                    arrival_ns=time.monotonic_ns(),
                )
            )
    say({"cpu_s": time.process_time() - begun, "frames": recording.frames, "peak_kb": usage().peak_kb})


async def remux(clip: str, seconds: float) -> None:
    """Let ffmpeg copy a clip from a pipe, each frame at its time; say what that cost it."""
    made = clip_named(clip)
    units = access_units(made)
    path = DIRECTORY / f"{clip}-ffmpeg.mp4"
    options = ["-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-frag_duration", "1000000"]
    source = ["-f", "h264", "-framerate", str(made.fps), "-i", "pipe:0"]
    command = ["ffmpeg", "-y", "-v", "error", *source, "-c", "copy", *options, str(path)]
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    start = time.monotonic()
    pipe: Any = process.stdin
    frames = round(seconds * made.fps)
    for number in range(frames):
        await asyncio.sleep(start + number / made.fps - time.monotonic())
        pipe.write(units[number % len(units)][1])
        await pipe.drain()
    pipe.close()
    await process.wait()
    used = os.times()
    say({"cpu_s": used.children_user + used.children_system, "frames": frames, "peak_kb": 0})


TASKS: Final[dict[str, Callable[..., Coroutine[Any, Any, None]]]] = {
    "write": write,
    "remux": remux,
}


if __name__ == "__main__":
    Path(DIRECTORY).mkdir(parents=True, exist_ok=True)
    asyncio.run(TASKS[sys.argv[1]](**json.loads(sys.argv[2])))
