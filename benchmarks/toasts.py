"""A toast of 200 ms, found once it has gone: how often, when it came and went, and what looking back costs.

`python -m benchmarks.toasts --tries 50 --loss 3` taps the button for the toast, waits a second, and looks back.
The path loses that share of the media and of what data channels send, and takes 20 ms each way.
"""

import argparse
import asyncio
import statistics
import time

import streamer
from streamer import emulator
from streamer.emulator import Faults
from streamer.emulator.apps import desktop
from streamer.looking_back import Seen
from tests.support.toasts import PACKAGE, SHORT, NotedNotices

DELAY_S = 0.02
SETTLE_S = 1.0  # longer than the tap, the toast, their ways, and what is sent again
BUTTON = "Toast of 0.2 s"


async def measure(tries: int, loss: float) -> tuple[list[Seen | None], list[float]]:
    """Return what was seen of each toast that was drawn, and the CPU time of each look in milliseconds."""
    faults = Faults(delay_s=DELAY_S)
    looks: list[Seen | None] = []
    costs_ms = []
    desktop._APPS[PACKAGE] = NotedNotices
    async with (
        emulator.serve(width=720, height=1280, fps=30, audio=False, screen="apps", faults=faults) as phone,
        streamer.connect(
            phone.instance_id, endpoint=phone.endpoint, credentials=streamer.Token(phone.tenant_token), preroll_s=10
        ) as session,
    ):
        await session.apps.start(PACKAGE)
        button = session.get_by_text(BUTTON)
        await button.wait(timeout_s=30)
        await session.wait_until_still()
        place = (await button.wait()).center
        faults.lose = faults.lose_data = loss
        while len(looks) < tries:
            drawn = NotedNotices.last.drawn
            drawn.clear()
            action = await session.tap(*place)
            await asyncio.sleep(SETTLE_S)
            if SHORT not in drawn or drawn[-1]:
                continue
            began = time.process_time()
            try:
                looks.append(await session.get_by_text(SHORT).seen(since=action, timeout_s=0))
            except streamer.WaitTimeoutError as error:
                looks.append(None)
                print(error, error.nearby)
            costs_ms.append((time.process_time() - began) * 1e3)
    return looks, costs_ms


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=50)
    parser.add_argument("--loss", type=float, default=3.0, help="percent")
    options = parser.parse_args()
    looks, costs_ms = asyncio.run(measure(options.tries, options.loss / 100))
    found = [look for look in looks if look is not None]
    lasted_ms = sorted((look.last_s - look.first_s) * 1e3 for look in found)
    gone = sum(look.is_gone for look in found)
    first_ms = statistics.median(look.first_s for look in found) * 1e3
    print(
        f"{options.loss:g} % loss: {len(found)} of {options.tries} toasts found, {gone} of them gone; they came after "
        f"{first_ms:.0f} ms and stayed {lasted_ms[0]:.0f} to {lasted_ms[-1]:.0f} ms; a look cost "
        f"{statistics.median(costs_ms):.0f} ms of a core, at most {max(costs_ms):.0f} ms, with the emulator's share"
    )


if __name__ == "__main__":
    main()
