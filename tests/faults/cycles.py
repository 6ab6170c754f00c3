"""Connect and leave, over and over: what the process holds must not grow."""

import asyncio
import gc
import json
from typing import Any, Final, NamedTuple

import streamer
from tests.faults.stages import SMALL
from tests.support.processes import Child, Usage, usage

SETTLED: Final = 10  # cycles after which pools have their size


class Held(NamedTuple):
    """What the process holds after so many cycles."""

    cycles: int
    tasks: int
    usage: Usage


def cycle(count: int, every: int = 10) -> list[Held]:
    """Connect to a phone in a process of its own, take a frame, record, and leave; return samples from SETTLED on."""
    with Child("tests.support.phone_process", json.dumps(SMALL)) as phone:
        return asyncio.run(_cycle(phone.hear(), count, every))


async def _cycle(place: dict[str, Any], count: int, every: int) -> list[Held]:
    held = []
    for number in range(1, count + 1):
        async with streamer.connect(
            place["instance"], endpoint=place["endpoint"], credentials=streamer.Token(place["token"])
        ) as session:
            await anext(aiter(session))
        if number >= SETTLED and number % every == 0:
            gc.collect()
            held.append(Held(number, len(asyncio.all_tasks()), usage()))
    return held


def cycles_table(held: list[Held]) -> str:
    """Return a table in Markdown."""
    lines = ["| cycles | tasks | threads | files and sockets | RSS, MB |", "|---:|---:|---:|---:|---:|"]
    for sample in held:
        own = sample.usage
        lines.append(f"| {sample.cycles} | {sample.tasks} | {own.threads} | {own.files} | {own.rss_kb / 1024:.1f} |")
    return "\n".join(lines)
