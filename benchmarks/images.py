"""Icons and labels of the emulator's screens, looked for on all of them: what is missed, what is taken for another.

`python -m benchmarks.images` cuts images out of the screens at 720x1280 as they are drawn, and looks for each on every
screen as an H.264 encoder leaves it. An image is on a screen if its very pixels are drawn there. Then it looks for the
launcher's icons on screens of other resolutions, and for icons that differ in color alone. Times are of the CPU.
"""

import statistics
import time
from typing import Final, NamedTuple

import cv2
import numpy as np

from benchmarks.texts import coded
from streamer.emulator.apps import Desktop
from streamer.emulator.apps.paint import Image
from streamer.media.playback.video_frames import VideoFrame
from streamer.targets.image import THRESHOLD, image_finder
from streamer.targets.matches import Found
from tests.support.app_screens import screens

GOAL_MS: Final = 10.0
ICONS: Final = {  # of 96 pixels each way: their middles on the launcher, in dp
    "Settings": (45, 131), "Sign in": (135, 131), "Notices": (225, 131), "Slow page": (315, 131),
    "Motion": (45, 235), "Canvas": (135, 235), "Player": (225, 235),
}  # fmt: skip
OTHERS: Final = (  # the screen, then left, top, width and height in pixels
    ("settings", "switch on", 570, 340, 120, 60),
    ("settings", "switch off", 570, 475, 120, 60),
    ("settings", "Bluetooth", 36, 458, 170, 50),
    ("settings", "title", 36, 80, 150, 60),
    ("sign in", "Sign in button", 40, 545, 640, 100),
    ("sign in", "E-mail field", 40, 210, 640, 100),
    ("sign in", "back", 80, 1205, 80, 70),
    ("notices", "Toast of 0.2 s", 200, 310, 300, 60),
    ("notices", "Toast of 2 s", 200, 440, 300, 60),
    ("dialog", "Cancel", 90, 660, 250, 95),
    ("dialog", "Delete", 375, 660, 250, 95),
    ("canvas", "Clear", 525, 70, 165, 80),
    ("motion", "Play", 40, 722, 640, 100),
    ("motion", "Drop 1 frame", 200, 865, 330, 50),
    ("motion", "Drop 3 frames", 200, 980, 330, 50),
    ("player", "Pause", 40, 712, 640, 110),
    ("keyboard", "q", 10, 870, 50, 60),
    ("keyboard", "e", 156, 870, 50, 60),
    ("keyboard", "o", 590, 870, 50, 60),
    ("keyboard", "Enter", 545, 1112, 165, 70),
    ("slow", "0 ms", 260, 540, 200, 90),
    ("slow", "50 ms", 260, 675, 200, 90),
)

# What is on these screens in another size: an icon that looks the same, and a label. So are all icons on "recents".
IN_ANOTHER_SIZE: Final = {("Settings", "shop"), ("title", "recents")}


class Looked(NamedTuple):
    """What one look for an image on a screen gave."""

    what: str
    is_there: bool
    is_icon: bool
    found: bool
    score: float
    cost_ms: float


def main() -> None:
    """Measure, and print the tables."""
    drawn = {screen.name: screen.image for screen in screens()}
    frames = {name: coded(image) for name, image in drawn.items()}
    looks = [
        look_for(f"{name} on {screen}", image, drawn[screen], frames[screen], is_icon=is_icon)
        for name, (image, is_icon) in images(drawn).items()
        for screen in frames
        if (name, screen) not in IN_ANOTHER_SIZE and not (is_icon and screen == "recents")
    ]
    _print_looks(looks, len(drawn))
    _print_scales(drawn["launcher"])
    _print_colors(drawn["launcher"], frames["launcher"])


def images(drawn: dict[str, Image]) -> dict[str, tuple[Image, bool]]:
    """Return the images, and whether each is an icon of the launcher."""
    found = {name: (_icon(drawn["launcher"], x, y), True) for name, (x, y) in ICONS.items()}
    for screen, name, x, y, width, height in OTHERS:
        found[name] = drawn[screen][y : y + height, x : x + width], False
    return found


def look_for(name: str, image: Image, drawn: Image, frame: VideoFrame, *, is_icon: bool) -> Looked:
    """Look for an image."""
    differences = cv2.matchTemplate(drawn[..., 0], np.ascontiguousarray(image[..., 0]), cv2.TM_SQDIFF)
    is_there = float(differences.min()) < image.size / 30  # a tenth of a level: it calculates in floats
    finder = image_finder(image, THRESHOLD, name)
    costs, found = [], Found()
    for _ in range(3 if is_there else 1):
        began = time.process_time()
        found = finder.find(frame, None)
        costs.append((time.process_time() - began) * 1e3)
    return Looked(name, is_there, is_icon, bool(found.matches), _score(found), min(costs))


def _print_looks(looks: list[Looked], count: int) -> None:
    there, absent = ([look for look in looks if look.is_there is wanted] for wanted in (True, False))
    icons = [look.cost_ms for look in there if look.is_icon]
    print(f"{len({look.what.partition(' on ')[0] for look in looks})} images on {count} screens, threshold {THRESHOLD}")
    print(f"an icon of 96 pixels is found in {statistics.median(icons):.1f} ms p50; the goal is {GOAL_MS:.0f} ms")
    print(f"any image: {statistics.median(look.cost_ms for look in there):.1f} ms p50 where it is,", end=" ")
    print(f"{statistics.median(look.cost_ms for look in absent):.1f} ms p50 where it is not")
    lowest, highest = min(there, key=lambda look: look.score), max(absent, key=lambda look: look.score)
    hits, misses = sum(look.found for look in absent), sum(not look.found for look in there)
    print(f"{misses} of {len(there)} missed; the lowest score: {lowest.score:.2f}, {lowest.what}")
    print(f"{hits} of {len(absent)} false hits; the highest score: {highest.score:.2f}, {highest.what}")


def _print_scales(launcher: Image) -> None:
    for width, height in ((360, 640), (540, 960), (1080, 1920), (1440, 2560)):
        desktop = Desktop(width, height, fps=30)
        frame = coded(desktop.draw(1.0))
        finders = [image_finder(_icon(launcher, x, y), THRESHOLD, name) for name, (x, y) in ICONS.items()]
        scores = []
        for finder, (x, y) in zip(finders, ICONS.values(), strict=True):
            found = finder.find(frame, None)
            at = [match.center for match in found.matches]
            is_right = (
                len(at) == 1 and np.hypot(at[0][0] - x * width / 360, at[0][1] - y * width / 360) < 4 * width / 720
            )
            scores.append(_score(found) if is_right else 0.0)
        print(f"{width}x{height}: {sum(score > 0 for score in scores)} of {len(scores)} icons found, ", end="")
        print(f"the lowest score: {min(scores):.2f}")


def _print_colors(launcher: Image, frame: VideoFrame) -> None:
    luma = np.asarray(cv2.cvtColor(launcher, cv2.COLOR_RGB2GRAY), np.uint8)
    one, other = (_icon(luma, *ICONS[name]) for name in ("Settings", "Sign in"))
    correlation = float(cv2.matchTemplate(one, other, cv2.TM_CCOEFF_NORMED)[0, 0])
    found = image_finder(_icon(launcher, *ICONS["Settings"]), THRESHOLD, "Settings").find(frame, None)
    x, y = (2 * place for place in ICONS["Sign in"])
    is_other_found = any(np.hypot(match.center[0] - x, match.center[1] - y) < 48 for match in found.matches)
    print(f"two icons that differ in color alone: luma correlates by {correlation:.3f};", end=" ")
    print("one is taken for the other" if is_other_found else "neither is taken for the other")


def _icon(image: Image, x: int, y: int) -> Image:
    return np.ascontiguousarray(image[2 * y - 48 : 2 * y + 48, 2 * x - 48 : 2 * x + 48])


def _score(found: Found) -> float:
    scores = [match.score for match in (*found.matches, found.nearest) if match is not None]
    return max(scores, default=0.0)


if __name__ == "__main__":
    main()
