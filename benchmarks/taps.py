"""Taps over a lossy path: how long after it was sent each DOWN and UP reaches the phone.

`python -m benchmarks.taps --taps 100 --loss 3` prints a line for each pause between taps. The path loses that share of
what data channels send, both ways, and takes 20 ms each way. An UP counts from the moment at which it was due.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Final

import streamer
from streamer import emulator
from streamer.control.gestures import TAP_S
from streamer.emulator import Faults, Key, Text, Touch

DELAY_S: Final = 0.02


async def measure(taps: int, loss: float, pause_s: float) -> Sequence[float]:
    """Return the delays of all DOWNs and UPs in milliseconds; raise if one is missing or comes twice."""
    faults = Faults(delay_s=DELAY_S)
    arrivals: list[tuple[int, int]] = []
    async with emulator.serve(width=180, height=320, fps=10, audio=False, faults=faults) as phone:

        def note(read: Touch | Key | Text) -> None:
            if isinstance(read, Touch) and read.action != 2:
                arrivals.append((read.action, time.monotonic_ns()))

        phone.take_input = note  # type: ignore[method-assign]
        async with streamer.connect(
            phone.instance_id, endpoint=phone.endpoint, credentials=streamer.Token(phone.tenant_token)
        ) as session:
            await session.wait_input()
            faults.lose_data = loss
            sent_ns = []
            for _ in range(taps):
                action = await session.tap(0.5, 0.5)
                assert action.sent_ns is not None
                sent_ns += [action.sent_ns, action.sent_ns + round(TAP_S * 1e9)]
                await asyncio.sleep(pause_s)
            async with asyncio.timeout(30):
                while len(arrivals) < 2 * taps:  # noqa: ASYNC110 - it is a benchmark
                    await asyncio.sleep(0.1)
    if [action for action, _ in arrivals] != [0, 1] * taps:
        raise SystemExit("taps were lost, doubled or overtaken")
    return [(arrived - sent) / 1e6 for sent, (_, arrived) in zip(sent_ns, arrivals, strict=True)]


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taps", type=int, default=100)
    parser.add_argument("--loss", type=float, default=3.0, help="percent")
    parser.add_argument("--pauses", type=float, nargs="*", default=(0.08, 1.5), help="seconds between two taps")
    options = parser.parse_args()
    for pause_s in options.pauses:
        delays = sorted(asyncio.run(measure(options.taps, options.loss / 100, pause_s)))
        percentiles = statistics.quantiles(delays, n=100, method="inclusive")
        print(
            f"{options.taps} taps, {pause_s:g} s apart, {options.loss:g} % loss: p50 {percentiles[49]:.0f} ms, "
            f"p90 {percentiles[89]:.0f} ms, p99 {percentiles[98]:.0f} ms, longest {delays[-1]:.0f} ms; none lost"
        )


if __name__ == "__main__":
    main()
