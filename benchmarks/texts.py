"""Every label of the emulator's screens, read offline: what is missed, and what it costs on one core.

`python -m benchmarks.texts` reads each screen at 720x1280 as an H.264 encoder leaves it: all of it, only what has
changed since the screen before, and the same frame again. The times are of the CPU, in milliseconds. Then it reads
lines of words and numbers, and lines of codes made of characters that look alike, 12 to 20 dp high, dark on light and
light on dark, and prints what was taken for what.
"""

import argparse
import fractions
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable

import av
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from streamer.emulator.apps.paint import Image
from streamer.media.playback.video_frames import VideoFrame
from streamer.targets.reading import IncrementalReader, TextLine
from tests.support.app_screens import frame_of, screens, without_spaces

WORDS = ("Order", "Invoice", "Total", "Wi-Fi", "Room", "ID", "Code", "Illinois", "Oslo", "Level", "Pay", "Bill", "All")
KINDS: dict[str, Callable[[random.Random], str]] = {
    "words and numbers": lambda chance: str(chance.randint(0, 99_999)),
    "codes": lambda chance: "".join(chance.choices("O0Il1oQS5B8Z2G6", k=6)),
}
PAGES = 12
CRF = "28"  # what a phone's bit rate leaves of a screen


def main() -> None:
    """Measure, and print a line for each screen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="each time is the least of so many")
    rounds = parser.parse_args().rounds
    reader, blank = IncrementalReader(), frame_of(np.full((64, 64, 3), 255, np.uint8))
    before, costs = blank, []
    labels = missed = 0
    print(f"{'':14}{'lines':>6}{'whole':>7}{'changed':>9}{'same':>6}")
    for screen in screens():
        frame = coded(screen.image)
        whole, changed, same = [], [], []
        lines: tuple[TextLine, ...] = ()
        for _ in range(rounds):
            reader.read(before, None)
            changed.append(cost_ms(reader, frame))
            reader.read(blank, None)
            whole.append(cost_ms(reader, frame))
            same.append(cost_ms(reader, frame))
            lines = reader.read(frame, None)
        costs.append((min(whole), min(changed)))
        missing = Counter(map(without_spaces, screen.labels)) - Counter(without_spaces(line.text) for line in lines)
        labels += len(screen.labels)
        missed += missing.total()
        note = f"  missed: {', '.join(missing)}" if missing else ""
        print(f"{screen.name:14}{len(lines):6}{min(whole):7.0f}{min(changed):9.0f}{min(same):6.1f}{note}", flush=True)
        before = frame
    _print_costs(costs, labels, missed)
    for name, last in KINDS.items():
        _print_mistakes(reader, name, last)


def _print_costs(costs: list[tuple[float, float]], labels: int, missed: int) -> None:
    whole_ms, changed_ms = zip(*costs, strict=True)
    print(
        f"{missed} of {labels} labels missed; a whole screen took {statistics.median(whole_ms):.0f} ms in the middle "
        f"and {max(whole_ms):.0f} ms at most, what had changed {statistics.median(changed_ms):.0f} ms in the middle"
    )


def _print_mistakes(reader: IncrementalReader, name: str, last: Callable[[random.Random], str]) -> None:
    """Read pages of lines; print how many were read as they are, and what was taken for what."""
    chance = random.Random(5)
    wrong: Counter[str] = Counter()
    lines = same = without_space = 0
    for page in range(PAGES):
        ink, paper = ((27, 29, 35), (255, 255, 255))[:: -1 if page % 2 else 1]
        image = PIL.Image.new("RGB", (720, 1280), paper)
        draw, texts = PIL.ImageDraw.Draw(image), {}
        for y in range(40, 1200, 85):
            texts[y] = f"{chance.choice(WORDS)} {chance.choice(WORDS).lower()} {last(chance)}"
            font = PIL.ImageFont.load_default(chance.choice((24, 26, 30, 34, 40)))
            draw.text((40, y), texts[y], font=font, fill=ink)
        read = reader.read(coded(np.asarray(image)), None)
        for y, text in texts.items():
            parts = sorted((line for line in read if y - 30 < line.region.y < y + 30), key=lambda line: line.region.x)
            got = " ".join(part.text for part in parts)
            lines, same = lines + 1, same + (got == text)
            without_space += got != text and got.replace(" ", "") == text.replace(" ", "")
            if len(got) == len(text):
                wrong.update(f"{there} as {seen}" for there, seen in zip(text, got, strict=True) if there != seen)
    print(
        f"{name}: {same} of {lines} lines read as they are, {without_space} but for a space; "
        + ", ".join(f"{mistake} {count} times" for mistake, count in wrong.most_common())
    )


def cost_ms(reader: IncrementalReader, frame: VideoFrame) -> float:
    """Return the CPU time of reading a frame."""
    began = time.process_time()
    reader.read(frame, None)
    return (time.process_time() - began) * 1e3


def coded(image: Image) -> VideoFrame:
    """Return an image as a frame that was encoded and decoded."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.height, context.width = image.shape[:2]
    context.pix_fmt, context.time_base, context.thread_count = "yuv420p", fractions.Fraction(1, 30), 1
    context.options = {"preset": "veryfast", "tune": "zerolatency", "crf": CRF}
    packets = [*context.encode(av.VideoFrame.from_ndarray(image, format="rgb24")), *context.encode(None)]
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    return frame_of(np.asarray(frames[0].to_ndarray(format="rgb24"), np.uint8))


if __name__ == "__main__":
    main()
