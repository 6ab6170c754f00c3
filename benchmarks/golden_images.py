"""`python -m benchmarks.golden_images`: whether golden images tell a changed label from what an encoder does.

Each screen of the emulator's apps is encoded as in ten sessions, with x264 as the emulator has it: some begin with the
screen, others slide or jump to it from another screen, and it rests for some frames or none. All pairs of sessions are
compared. Then one label at a time is drawn with another last character, and compared with the first session.
"""

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations
from typing import Annotated, Any, Final

import av
import numpy as np
import numpy.typing as npt
import typer

from benchmarks.report import Grid, console, print_grid
from streamer.emulator.apps import Desktop
from streamer.emulator.apps.paint import Paint
from streamer.emulator.device import BUILT_IN, Animations, DeviceEvent, Launch
from streamer.emulator.input_frames import DOWN, UP, Key, Point, Touch
from streamer.media.playback.images import yuv_of
from streamer.watch.difference import Planes, difference_of

Image = npt.NDArray[np.uint8]
WIDTH, HEIGHT, FPS = 720, 1280, 30
SESSIONS: Final = 10
LABELS: Final = 6  # of a screen, at most, that are changed
LIKE: Final = dict(zip("0156eocnslgdytr3784", "8768coehatqabln8893", strict=True))  # characters that look alike
TYPED: Final = (*(Key(DOWN, code, 0) for code in (29, 42, 42, 77, 33, 56, 31)), Key(UP, 31, 0))  # ann@e.c


def main(mbps: Annotated[list[float] | None, typer.Option(help="Megabits a second; again for more.")] = None) -> None:
    """Encode, decode and compare; some minutes."""
    screens = dict(_screens())
    rows = []
    for rate in mbps or [1.0, 2.0, 3.0, 6.0]:
        alike, pairs, told, labels = 0, 0, 0, 0
        for name, make in screens.items():
            with console.status(f"{rate:g} Mbit/s, {name}"):
                written, image = _labels_of(make)
                sessions = [_seen(_path(number, image, screens), rate) for number in range(SESSIONS)]
                for one, other in combinations(sessions, 2):
                    pairs += 1
                    alike += difference_of(one, other).region is None
                for label in written:
                    changed = _with_label(make, label)
                    if (changed != image).any():
                        labels += 1
                        seen = _seen(_path(labels, changed, screens), rate)
                        told += difference_of(sessions[0], seen).region is not None
        rows.append((f"{rate:g} Mbit/s", f"{alike} of {pairs}", f"{told} of {labels}"))
        console.print(*rows[-1])
    print_grid(Grid("x264 at 720x1280 and 30 fps", ("", "pairs that are alike", "changed labels that differ"), rows))


def _screens() -> Iterator[tuple[str, Callable[[], Image]]]:
    ways_to: dict[str, list[tuple[DeviceEvent, ...]]] = {
        "": [()],
        "Settings": [(), _tap(0.5, 0.34), (*_tap(0.5, 0.34), *_tap(0.5, 0.45)), (Key(DOWN, 187, 0),)],
        "Sign in": [(), _tap(0.5, 0.2), (*_tap(0.5, 0.2), *TYPED), _tap(0.5, 0.46)],
        "Notices": [(), _tap(0.5, 0.47)],
        "Slow page": [(), _tap(0.5, 0.42), (*_tap(0.5, 0.42), *_tap(0.5, 0.42))],
        "Motion": [()],
        "Canvas": [(), _tap(0.5, 0.5)],
        "Player": [_tap(0.5, 0.6)],
    }
    for app, ways in ways_to.items():
        for number, events in enumerate(ways, start=1):
            yield f"{app or 'Launcher'} {number}", lambda app=app, events=events: _drawn(app, events)  # type: ignore[misc]


def _tap(x: float, y: float) -> tuple[DeviceEvent, ...]:
    return Touch(DOWN, (Point(0, x, y),)), Touch(UP, (Point(0, x, y),))


def _drawn(app: str, events: tuple[DeviceEvent, ...]) -> Image:
    desktop = Desktop(WIDTH, HEIGHT, fps=FPS)
    desktop.receive(Animations(False), 0.0)
    if app:
        desktop.receive(Launch(next(each for each in BUILT_IN if each.label == app)), 0.0)
    desktop.draw(0.0)
    for event in events:
        desktop.receive(event, 0.0)
        desktop.draw(0.0)
    return desktop.draw(3.2)  # toasts have gone, and a caret is visible


def _labels_of(make: Callable[[], Image]) -> tuple[list[str], Image]:
    """Return some of the texts on a screen, and the screen."""
    written: set[str] = set()

    def note(text: str) -> str:
        written.add(text)
        return text

    image = _written(make, note)
    labels = sorted(text for text in written if text.strip())
    return random.Random(len(labels)).sample(labels, min(LABELS, len(labels))), image


def _with_label(make: Callable[[], Image], label: str) -> Image:
    return _written(make, lambda text: text[:-1] + LIKE.get(text[-1], "x") if text == label else text)


def _written(make: Callable[[], Image], change: Callable[[str], str]) -> Image:
    plain = Paint.text

    def text(paint: Paint, x: float, y: float, text: str, *args: Any, **options: Any) -> None:
        plain(paint, x, y, change(text) if text else text, *args, **options)

    Paint.text = text  # type: ignore[method-assign, assignment]
    try:
        return make()
    finally:
        Paint.text = plain  # type: ignore[method-assign]


def _path(session: int, image: Image, screens: dict[str, Callable[[], Image]]) -> list[Image]:
    """Return the frames of a session that ends with a screen."""
    rest = [image] * (session * 7 % 4 + 1)
    if session % SESSIONS == 0:
        return rest
    before = list(screens.values())[session * 5 % len(screens)]()
    sliding = []
    for row in range(HEIGHT - 160, 0, -160) if session % 2 else ():
        sliding.append(before.copy())
        sliding[-1][row:] = image[: HEIGHT - row]
    return [*[before] * (session % 3 + 1), *sliding, *rest]


def _seen(path: list[Image], mbps: float) -> Planes:
    """Return what a receiver sees at the end of a path."""
    sender, receiver = av.CodecContext.create("libx264", "w"), av.CodecContext.create("h264", "r")
    if not isinstance(receiver, av.VideoCodecContext):
        raise TypeError("h264 is no video decoder")
    kbps = round(1000 * mbps)
    sender.width, sender.height, sender.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    sender.time_base, sender.framerate, sender.bit_rate = Fraction(1, FPS), Fraction(FPS), 1000 * kbps
    sender.thread_count = receiver.thread_count = 1
    sender.options = {
        "preset": "superfast",
        "tune": "zerolatency",
        "profile": "baseline",
        "x264-params": f"scenecut=0:keyint=300:vbv-maxrate={kbps}:vbv-bufsize={kbps}",
    }
    last: Any = None
    for number, image in enumerate(path):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        for packet in sender.encode(frame):
            for last in receiver.decode(av.Packet(bytes(packet))):  # noqa: B007 - the last one counts
                pass
    return yuv_of(np.asarray(last.to_ndarray(format="rgb24"), dtype=np.uint8))


if __name__ == "__main__":
    typer.run(main)
