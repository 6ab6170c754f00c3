"""Many sessions in one process, or as many decoders alone: what share of the frames comes, how late, at what cost.

argv: {"task": "floor" or "streamer", "clip", "sessions", "seconds"}. A frame is late by how much longer it took than
the quickest one of its session.
"""

import asyncio
import json
import sys
import threading
import time
from typing import Any

import av

from benchmarks.clips import Clip, access_units, clip_named
from benchmarks.rivals import Streamer
from tests.support.processes import listen, say

Notes = list[tuple[float, float]]  # when each frame came, and when it was due by the stream's own clock


def floor(clip: Clip, sessions: int, seconds: float) -> dict[str, Any]:
    """Decode so many streams at their pace, a thread each, without a network."""
    units = access_units(clip)
    notes: list[Notes] = [[] for _ in range(sessions)]
    begun = time.monotonic() + 0.5
    end = begun + 2 + seconds + 1

    def decode(session: int) -> None:
        decoder = av.VideoCodecContext.create("h264", "r")
        decoder.thread_count = 1
        start = begun + session / sessions / clip.fps  # nobody's frames come all at once
        for number in range(round((end - start) * clip.fps)):
            due = start + number / clip.fps
            time.sleep(max(due - time.monotonic(), 0))
            decoder.decode(av.Packet(units[number % len(units)][1]))
            notes[session].append((time.monotonic(), due))

    threads = [threading.Thread(target=decode, args=(session,)) for session in range(sessions)]
    for thread in threads:
        thread.start()
    time.sleep(begun + 2 - time.monotonic())
    return _window(notes, seconds)


async def streamer(sessions: int, seconds: float) -> dict[str, Any]:
    """Receive so many streams; each has a consumer of every frame."""
    receivers = [Streamer() for _ in range(sessions)]
    notes: list[Notes] = [[] for _ in range(sessions)]

    seen = asyncio.Semaphore(0)

    async def look(receiver: Streamer, its: Notes) -> None:
        async for frame in receiver.frames("every"):
            if not its:
                seen.release()
            its.append((time.monotonic(), frame.rtp_time / 90_000))

    tasks = []
    for receiver, its in zip(receivers, notes, strict=True):
        say({"answer": await receiver.answer((await listen())["offer"])})
        tasks.append(asyncio.create_task(look(receiver, its)))
    for _ in receivers:
        await seen.acquire()
    await asyncio.sleep(2)
    found = await asyncio.to_thread(_window, notes, seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(receiver.aclose() for receiver in receivers))
    return found


def _window(notes: list[Notes], seconds: float) -> dict[str, Any]:
    """Watch for so long; return what came in that time."""
    cpu, start = time.process_time(), time.monotonic()
    time.sleep(seconds)
    cpu, end = time.process_time() - cpu, time.monotonic()
    late = []
    for its in notes:
        quickest = min(came - due for came, due in its)
        late += [came - due - quickest for came, due in its if start <= came < end]
    late.sort()
    return {
        "cpu_s": cpu,
        "seconds": end - start,
        "frames": [sum(start <= came < end for came, _ in its) for its in notes],
        "late_ms": 1000 * late[len(late) * 95 // 100] if late else 1e6,
    }


def main(task: str, clip: str, sessions: int, seconds: float) -> None:
    """Run a task and say what it found."""
    if task == "floor":
        say(floor(clip_named(clip), sessions, seconds))
    else:
        say(asyncio.run(streamer(sessions, seconds)))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
