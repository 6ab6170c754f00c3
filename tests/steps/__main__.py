"""`python -m tests.steps ROUNDS [--loaded]`: the twenty steps, again and again, with asyncio and with `streamer.sync`.

Each round has a connection of its own, to an emulator that was reset. The first failure ends it: its step is named.
`--loaded` keeps a process busy meanwhile.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from streamer import emulator
from tests.steps import with_asyncio, without_asyncio
from tests.steps.phone import OPTIONS


async def _without_asyncio(phone: emulator.EmulatedPhone) -> None:
    await asyncio.to_thread(without_asyncio.take_steps, phone)


FACES: Final[dict[str, Callable[[emulator.EmulatedPhone], Awaitable[None]]]] = {
    "asyncio": with_asyncio.take_steps,
    "sync": _without_asyncio,
}


def main() -> int:
    """Take the steps; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.steps", description="Take twenty steps again and again.")
    parser.add_argument("rounds", type=int, help="how often, with each of asyncio and streamer.sync")
    parser.add_argument("--loaded", action="store_true", help="keep a process busy meanwhile")
    arguments = parser.parse_args()
    with _busy() if arguments.loaded else contextlib.nullcontext():
        return asyncio.run(_take_rounds(arguments.rounds))


async def _take_rounds(rounds: int) -> int:
    seconds: dict[str, list[float]] = {face: [] for face in FACES}
    failed = ""
    async with emulator.serve(**OPTIONS) as phone:
        for number, face in ((number, face) for number in range(1, rounds + 1) for face in FACES):
            phone.device.reset()
            began = time.monotonic()
            try:
                await FACES[face](phone)
            except Exception:  # noqa: BLE001 - it is shown
                traceback.print_exc()
                failed = face
            seconds[face].append(time.monotonic() - began)
            print(f"{number:4} {face:8}{seconds[face][-1]:7.1f} s{'  failed' if failed else ''}", flush=True)
            if failed:
                break
    print(f"\n{'':8}{'rounds':>8}{'failures':>10}{'median':>10}{'slowest':>10}")
    for face, taken in seconds.items():
        if taken:
            median, slowest = statistics.median(taken), max(taken)
            print(f"{face:8}{len(taken):8}{int(face == failed):10}{median:8.1f} s{slowest:8.1f} s")
    return bool(failed)


@contextlib.contextmanager
def _busy() -> Iterator[None]:
    """Keep one core busy within the block."""
    burn = f"import os\nwhile os.getppid() == {os.getpid()}: pass"  # it ends with this process, however that ends
    process = subprocess.Popen([sys.executable, "-c", burn])
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
