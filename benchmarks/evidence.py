"""`python -m benchmarks.evidence`: what the pytest plugin keeps of a test that passes, in CPU time of a process.

One emulator sends 720x1280 at 30 frames a second to both sides at once. Both decode nothing. One keeps the footage
and the records of a test, and asks for the keyframes that this needs.
"""

import asyncio
import contextlib
import json
import statistics
import sys
import time
from typing import Annotated, Final

import typer

import streamer
from benchmarks.report import Grid, console, print_grid
from streamer import emulator
from streamer.testing.phones import PREROLL_S
from streamer.testing.witness import Witness

SETTLE_S: Final = 5.0  # before the measurement begins
GOAL: Final = 0.02  # of a core
SIDES: Final = ("alone", "kept")


def main(
    seconds: Annotated[float, typer.Option(min=1, help="How long is measured.")] = 40.0,
    pairs: Annotated[int, typer.Option(min=1, help="How many processes of each side.")] = 2,
    side: Annotated[str, typer.Option(hidden=True)] = "",
    endpoint: Annotated[str, typer.Option(hidden=True)] = "",
    token: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Measure both sides, each in processes of its own."""
    if side:
        print(json.dumps(asyncio.run(_measure(side, endpoint, token, seconds))))
        return
    found = asyncio.run(_serve(seconds, pairs))
    rows = [
        (each, f"{statistics.median(found[each]):.2%}", " ".join(f"{share:.2%}" for share in found[each]))
        for each in SIDES
    ]
    print_grid(Grid("What keeping the evidence of a test costs", ("side", "of a core", "each process"), rows))
    added = statistics.median(found["kept"]) - statistics.median(found["alone"])
    console.print(f"added: {added:.2%} of a core; the goal is at most {GOAL:.0%}")


async def _serve(seconds: float, pairs: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {side: [] for side in SIDES}
    async with emulator.serve(allow_many=True) as phone:
        words = ["--endpoint", phone.endpoint, "--token", phone.tenant_token, "--seconds", str(seconds)]

        async def run(side: str) -> None:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.evidence", "--side", side, *words), stdout=asyncio.subprocess.PIPE
            )
            out, _ = await process.communicate()
            found[side].append(float(json.loads(out)))

        await asyncio.gather(*(run(side) for _ in range(pairs) for side in SIDES))
    return found


async def _measure(side: str, endpoint: str, token: str, seconds: float) -> float:
    """Return this process's share of a core."""
    is_kept = side == "kept"
    options = {"preroll_s": PREROLL_S, "keep_awake": True} if is_kept else {}
    async with streamer.connect("demo-phone", endpoint=endpoint, credentials=token, **options) as phone:  # type: ignore[arg-type]
        await phone.screenshot()
        with Witness(phone, test="benchmark", run=1).watching() if is_kept else contextlib.nullcontext():
            await asyncio.sleep(SETTLE_S)
            cpu_s, began_s = time.process_time(), time.monotonic()
            await asyncio.sleep(seconds)
            return (time.process_time() - cpu_s) / (time.monotonic() - began_s)


if __name__ == "__main__":
    typer.run(main)
