"""Two pictures: what x264 makes of the same screen is no difference, and a changed character is one."""

import itertools
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
import pytest

from streamer.emulator.apps import Desktop
from streamer.emulator.apps.paint import Paint
from streamer.emulator.device import BUILT_IN, Animations, Launch
from streamer.watch.difference import Planes, difference_of, draw_difference
from streamer.watch.region import Region

WIDTH, HEIGHT = 360, 640
Image = npt.NDArray[np.uint8]
CHANGED: Final = {
    "Notices": ("3 notes", "8 notes"),
    "Settings": ("Bluetooth", "Bluetooch"),
    "Slow page": ("12:00", "12:01"),
}


def screen(app: str) -> Image:
    desktop = Desktop(WIDTH, HEIGHT, fps=30)
    desktop.receive(Animations(False), 0.0)
    desktop.receive(Launch(next(each for each in BUILT_IN if each.label == app)), 0.0)
    return desktop.draw(0.0)


def shown(path: list[Image], *, kbps: int = 1000) -> Planes:
    """Return what a receiver sees at the end of frames that were encoded as the emulator encodes them."""
    sender, receiver = av.CodecContext.create("libx264", "w"), av.CodecContext.create("h264", "r")
    assert isinstance(sender, av.VideoCodecContext)
    assert isinstance(receiver, av.VideoCodecContext)
    sender.width, sender.height, sender.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    sender.time_base, sender.framerate, sender.bit_rate = Fraction(1, 30), Fraction(30), 1000 * kbps
    sender.thread_count = receiver.thread_count = 1
    sender.options = {
        "preset": "superfast",
        "tune": "zerolatency",
        "profile": "baseline",
        "x264-params": f"scenecut=0:vbv-maxrate={kbps}:vbv-bufsize={kbps}",
    }
    last: Any = None
    for number, image in enumerate(path):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        for packet in sender.encode(frame):
            last = (receiver.decode(av.Packet(bytes(packet))) or [last])[-1]
    return np.asarray(last.reformat(format="yuv444p", dst_color_range="JPEG").to_ndarray(), dtype=np.uint8)


def sliding(before: Image, after: Image) -> list[Image]:
    frames = []
    for row in range(HEIGHT - 80, 0, -80):
        frames.append(before.copy())
        frames[-1][row:] = after[: HEIGHT - row]
    return frames


@pytest.mark.parametrize("app", CHANGED)
def test_the_same_screen_never_differs_and_a_changed_character_does(app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = screen("Sign in"), screen(app)
    same = [
        shown([after]),
        shown([before, after]),
        shown([before, *sliding(before, after), after]),
        shown([before, before, *sliding(before, after), after, after, after], kbps=500),
    ]
    for one, other in itertools.combinations(same, 2):
        assert difference_of(one, other).region is None
    old, new = CHANGED[app]
    plain = Paint.text

    def text(paint: Paint, x: float, y: float, text: str, *args: Any, **kwargs: Any) -> None:
        plain(paint, x, y, new if text == old else text, *args, **kwargs)

    monkeypatch.setattr(Paint, "text", text)
    other_label = screen(app)
    rows, columns = np.nonzero((other_label != after).any(axis=2))
    for path in ([other_label], [before, *sliding(before, other_label), other_label]):
        for one in same:
            region = difference_of(one, shown(path)).region
            assert region is not None
            left, top, right, bottom = region.pixels(WIDTH, HEIGHT)
            assert left - 16 <= columns.min() <= columns.max() < right + 16
            assert top - 16 <= rows.min() <= rows.max() < bottom + 16
            assert (right - left) * (bottom - top) <= 64 * 64


def plain(value: int = 200, width: int = 97, height: int = 71) -> Planes:
    return np.full((3, height, width), value, np.uint8)


def test_a_picture_is_like_itself() -> None:
    found = difference_of(plain(), plain())
    assert (found.share, found.region) == (0.0, None)
    assert not found.pixels.any()


@pytest.mark.parametrize(("by", "differs"), [(2, False), (5, True)])
def test_another_shade_of_a_large_surface_differs(by: int, differs: bool) -> None:
    other = plain()
    other[0] += np.uint8(by)
    assert (difference_of(plain(), other).region is not None) == differs


@pytest.mark.parametrize("channel", [1, 2])
def test_another_color_of_the_same_brightness_differs(channel: int) -> None:
    other = plain()
    other[channel, 20:44, 30:60] += np.uint8(30)
    region = difference_of(plain(), other).region
    assert region is not None
    assert region.pixels(97, 71) == (32, 16, 64, 48)  # the blocks that it covers in large part


def test_a_few_pixels_are_noise_and_four_are_a_mark_wherever_they_are() -> None:
    for left, top in itertools.product(range(5, 26, 3), range(5, 26)):
        other = plain()
        other[0, top : top + 2, left : left + 2] = 20
        other[0, top, left] = 200
        assert difference_of(plain(), other).region is None
        other[0, top, left] = 20
        assert difference_of(plain(), other).region == Region(left, top, 2, 2)


def test_what_is_ignored_does_not_count() -> None:
    other = plain()
    other[0, :10] = 20
    found = difference_of(plain(), other)
    assert found.region == Region(0, 0, 97, 10)
    assert difference_of(plain(), other, [Region(0, 0, 1.0, 10)]).region is None
    assert difference_of(plain(), other, [Region(0, 0, 1.0, 1.0)]).share == 0.0
    other[0, 60:70, 50:60] = 20
    part = difference_of(plain(), other, [Region(0, 0, 1.0, 10)])
    assert part.region is not None
    assert part.share < found.share


def test_a_difference_is_drawn_in_red_with_a_box_around_it() -> None:
    other = plain()
    other[0, 30:34, 40:44] = 20
    found = difference_of(plain(), other)
    drawn = draw_difference(other, found)
    red = (drawn == (214, 28, 28)).all(axis=2)
    assert red[30:34, 40:44].all()
    assert red[24, 40]
    assert not red[:22].any()
    assert drawn[0, 0].tolist() == [237, 237, 237]
