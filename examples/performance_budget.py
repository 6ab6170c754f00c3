"""Hold the transitions of a phone against a budget: how soon something happens, how long it takes, how smooth it is.

Each transition is repeated. Times are from the touch to the frame, network included; gaps are on the phone's own clock.
Set STREAMER_ENDPOINT to the API's URL and STREAMER_AUTH_TOKEN to a tenant token, then:

    python examples/performance_budget.py INSTANCE com.android.settings
"""

import argparse
import asyncio
import os
import statistics
import sys
from collections.abc import Callable

import streamer

ANSWER_S = 1.0  # how soon something has to happen
SETTLED_S = 2.0  # how long it may take until the screen is at rest
GAP_S = 0.2  # how long the screen may stand still in between


async def measure(
    phone: streamer.Session, act: Callable[[], streamer.Action], reset: Callable[[], streamer.Action], rounds: int
) -> list[streamer.Settled]:
    """Return how an action went, several times. `reset` leads back to where it begins."""
    measured = []
    for _ in range(rounds):
        await reset()
        await phone.wait_until_still()
        measured.append(await act().settled())
    return measured


def over_budget(name: str, measured: list[streamer.Settled], settled_s: float) -> list[str]:
    """Print the medians of a transition; return what of them is over the budget."""
    found = {
        "first change": (statistics.median(each.first_change_s for each in measured), ANSWER_S),
        "end": (statistics.median(each.settled_s for each in measured), settled_s),
        "longest gap": (statistics.median(each.longest_gap_s for each in measured), GAP_S),
    }
    print(f"{name}: " + ", ".join(f"{what} {seconds * 1e3:.0f} ms" for what, (seconds, _) in found.items()))
    return [
        f"{name}: {what} {seconds:.3f} s, expected at most {limit_s:g} s"
        for what, (seconds, limit_s) in found.items()
        if seconds > limit_s
    ]


async def main(instance_id: str, package: str, rounds: int = 5, settled_s: float = SETTLED_S) -> None:
    async with streamer.connect(
        instance_id,
        endpoint=os.environ.get("STREAMER_ENDPOINT", ""),
        credentials=streamer.credentials_from_environment(),
    ) as phone:

        def start() -> streamer.Action:
            return phone.start_app(package)

        def leave() -> streamer.Action:
            return phone.press("HOME")

        started = await measure(phone, start, leave, rounds)
        left = await measure(phone, leave, start, rounds)
    over = [*over_budget(f"start {package}", started, settled_s), *over_budget(f"leave {package}", left, settled_s)]
    if over:
        sys.exit(f"error: {'; '.join(over)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instance", help="the phone's instance id")
    parser.add_argument("package", help="the app to start and to leave")
    given = parser.parse_args()
    try:
        asyncio.run(main(given.instance, given.package))
    except streamer.StreamerError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
