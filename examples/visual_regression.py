"""Compare screens of a phone with images of them from before, and show what has changed.

The first run writes the images; a later one compares. Set STREAMER_ENDPOINT to the API's URL and STREAMER_AUTH_TOKEN to
a tenant token, then:

    python examples/visual_regression.py INSTANCE screens com.android.settings com.example.shop

To accept what has changed, delete an image, or set STREAMER_PHONE_UPDATE_IMAGES=1.
"""

import argparse
import asyncio
import contextlib
import os
import sys
from pathlib import Path

import streamer


def images_of(folder: Path, packages: list[str]) -> dict[str, tuple[Path, bool]]:
    """Return each app's image, and whether there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    images = {package: folder / f"{package}.png" for package in packages}
    return {package: (image, image.exists()) for package, image in images.items()}


async def main(instance_id: str, folder: str, packages: list[str]) -> None:
    changed = []
    async with streamer.connect(
        instance_id,
        endpoint=os.environ.get("STREAMER_ENDPOINT", ""),
        credentials=streamer.credentials_from_environment(),
    ) as phone:
        for package, (image, is_there) in images_of(Path(folder), packages).items():
            await phone.apps.stop(package)
            await phone.wait_until_still()
            with contextlib.suppress(streamer.WaitTimeoutError):  # it may never rest: the comparison says so
                await phone.start_app(package).settled()
            try:
                await streamer.expect(phone).to_match_image(
                    image, ignore=[streamer.Region.STATUS_BAR], update=None if is_there else True
                )
                print(f"{package}: {'as before' if is_there else 'written'}")
            except streamer.ExpectationError as error:
                print(f"{package}: {error}")
                changed.append(package)
    if changed:
        sys.exit(f"error: {', '.join(changed)} changed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instance", help="the phone's instance id")
    parser.add_argument("folder", help="where the images are")
    parser.add_argument("packages", nargs="+", help="the apps to look at")
    given = parser.parse_args()
    try:
        asyncio.run(main(given.instance, given.folder, given.packages))
    except streamer.StreamerError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
