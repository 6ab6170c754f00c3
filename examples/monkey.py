"""Touch a phone at random, and record it: what a tired user does, again and again, and the video of what came of it.

The same seed does the same. Set STREAMER_ENDPOINT to the API's URL and STREAMER_AUTH_TOKEN to a tenant token, then:

    python examples/monkey.py INSTANCE com.example.shop 200 7

touches com.example.shop 200 times with the seed 7, and writes monkey-7.mp4.
"""

import argparse
import asyncio
import os
import random
import sys
from pathlib import Path

import streamer

LEFT, RIGHT = 0.03, 0.97
TOP, BOTTOM = 0.06, 0.92  # without the status bar and the navigation bar, which lead out of the app


def choose(chance: random.Random, phone: streamer.Session) -> tuple[str, streamer.Action]:
    """Return an action at random, and what it is in words."""

    def place() -> tuple[float, float]:
        return round(chance.uniform(LEFT, RIGHT), 3), round(chance.uniform(TOP, BOTTOM), 3)

    (kind,) = chance.choices(["tap", "swipe", "long_press", "type", "back"], weights=[60, 20, 5, 10, 5])
    x, y = place()
    match kind:
        case "swipe":
            end, duration_s = place(), round(chance.uniform(0.05, 0.5), 2)
            return f"swipe from {x}, {y} to {end[0]}, {end[1]} in {duration_s} s", phone.swipe(
                (x, y), end, duration_s=duration_s
            )
        case "long_press":
            return f"long press at {x}, {y}", phone.long_press(x, y)
        case "type":
            text = "".join(chance.choices("abc XYZ 0123 @.\n", k=chance.randint(1, 8)))
            return f"type {text!r}", phone.type(text)
        case "back":
            return "press BACK", phone.press("BACK")
    return f"tap at {x}, {y}", phone.tap(x, y)


async def main(
    instance_id: str, package: str, *, actions: int, seed: int, folder: Path = Path(), pause_s: float = 0.2
) -> None:
    chance = random.Random(seed)  # noqa: S311 - it is to be repeatable
    async with streamer.connect(
        instance_id,
        endpoint=os.environ.get("STREAMER_ENDPOINT", ""),
        credentials=streamer.credentials_from_environment(),
    ) as phone:
        await phone.apps.clear(package)  # each run begins with the same state
        await phone.start_app(package).settled()
        unchanged = 0
        async with phone.record(folder / f"monkey-{seed}.mp4", overwrite=True) as recording:
            for number in range(1, actions + 1):
                words, action = choose(chance, phone)
                print(f"{number:4}  {recording.duration_s:7.2f} s  {words}")
                try:
                    await action.changed(timeout_s=pause_s)
                    unchanged = 0
                except streamer.WaitTimeoutError:
                    unchanged += 1
                await asyncio.sleep(pause_s)
    print(f"{recording.path}: {recording.duration_s:.1f} s of video, seed {seed}")
    if unchanged >= 20:
        sys.exit(f"error: the last {unchanged} actions changed nothing: does {package} still answer?")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instance", help="the phone's instance id")
    parser.add_argument("package", help="the app to touch, which loses its data first")
    parser.add_argument("actions", nargs="?", type=int, default=100, help="how many times, 100 by default")
    parser.add_argument("seed", nargs="?", type=int, default=1, help="what decides the actions, 1 by default")
    given = parser.parse_args()
    try:
        asyncio.run(main(given.instance, given.package, actions=given.actions, seed=given.seed))
    except streamer.StreamerError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
