"""What the emulator shows: a launcher, an app whose text scrolls, a game with things that move.

Everything is drawn once, as layers; a frame is put together from them by copying, and costs less than a millisecond.
"""

import functools
import math
import time
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streamer.emulator.barcode import CELLS, cell_size, draw_barcode
from streamer.emulator.picture import BLACK, WHITE, Color, Picture, Sprite
from streamer.emulator.pillow import load_pillow

Image = npt.NDArray[np.uint8]

_BAR: Final = (16, 18, 24)  # the status bar's color
SCENE_S: Final = 4.0
DARK_S: Final = 2 * SCENE_S  # when the game begins, which is dark
_APPS: Final = (
    ("Mail", (66, 133, 244)),
    ("Maps", (52, 168, 83)),
    ("Music", (234, 67, 53)),
    ("Notes", (251, 188, 4)),
    ("Shop", (171, 71, 188)),
    ("Photos", (0, 172, 193)),
    ("Clock", (255, 112, 67)),
    ("Cloud", (92, 107, 192)),
    ("Games", (236, 64, 122)),
    ("Files", (124, 179, 66)),
    ("Bank", (38, 166, 154)),
    ("News", (84, 110, 122)),
    ("Video", (239, 83, 80)),
    ("Chat", (41, 182, 246)),
    ("Tools", (141, 110, 99)),
    ("Store", (126, 87, 194)),
)
_HEADLINES: Final = (
    "A phone without a pocket",
    "Frames that arrive on time",
    "How still can a screen be?",
    "Packets, in order, for once",
    "The keyframe everyone waited for",
    "What the jitter buffer saw",
    "Seven ways to lose a datagram",
    "A clock you can read by machine",
)


class Screen:
    """Draw frames of one size."""

    def __init__(self, width: int, height: int) -> None:
        self._pil, self._pil_draw, self._pil_font = load_pillow()
        self.width, self.height = width, height
        self._unit = min(width, height) / 360  # a density-independent pixel
        self._bar = self._px(28)
        self._strip = height - 2 * cell_size(width, height)  # where it begins
        wallpaper = self._draw_wallpaper()
        self._launcher = self._layer(self._draw_launcher(wallpaper))
        self._night = self._layer(wallpaper // np.uint8(2))
        page, header = self._draw_page()
        self._header_height = header.shape[0]
        self._page = Picture.from_rgb(page)
        self._reader = self._layer(np.pad(header, ((self._bar, height - self._bar - header.shape[0]), (0, 0), (0, 0))))
        self._balls = [self._draw_ball(color) for _, color in _APPS[:7]]
        self._clock = "", self._draw_clock("")

    def draw_into(self, picture: Picture, number: int, seconds: float, *, is_white: bool = False) -> None:
        """Draw the frame `number`, as the screen is `seconds` after the phone was switched on, or all white."""
        if is_white:
            picture.fill(0, 0, self.width, self._strip, (255, 255, 255))
        else:
            (self._draw_home, self._draw_app, self._draw_game)[int(seconds / SCENE_S) % 3](picture, seconds)
            picture.put(self._clock_of_now(), height=self._bar)
        luma = picture.planes[0]
        draw_barcode(luma, number, int(time.time() * 1000))
        strip = luma[self._strip :, : CELLS * cell_size(self.width, self.height)]
        np.clip(strip, BLACK, WHITE, out=strip)

    def _px(self, dp: float) -> int:
        return max(round(dp * self._unit), 1)

    def _font(self, dp: float) -> Any:
        return self._pil_font.load_default(self._px(dp))

    def _draw_wallpaper(self) -> Image:
        y, x = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        y, x = y / self.height, x / self.width
        waves = 0.5 + 0.5 * np.sin(3 * x + 5 * y + 0.8 * np.sin(6 * x - 3 * y))
        top, bottom = np.array((38, 70, 140)), np.array((156, 72, 128))
        mix = (0.75 * y + 0.25 * waves)[..., None]
        mixed: Image = np.clip(top * (1 - mix) + bottom * mix, 0, 255).astype(np.uint8)
        return mixed

    def _draw_launcher(self, wallpaper: Image) -> Image:
        image = self._pil.fromarray(wallpaper)
        draw = self._pil_draw.Draw(image)
        columns = 4 if self.height > self.width else 8
        rows = math.ceil(len(_APPS) / columns)
        icon, top = self._px(52), self._bar + self._px(70 if self.height > self.width else 14)
        across, down = self.width / columns, min((self._strip - top - self._px(30)) / rows, self._px(104))
        if self.height > self.width:
            draw.text((self._px(20), self._bar + self._px(16)), "Good to see you", font=self._font(22), fill="white")
        for index, (name, color) in enumerate(_APPS):
            x = int(across * (index % columns + 0.5) - icon / 2)
            y = int(top + down * (index // columns))
            draw.rounded_rectangle((x, y, x + icon, y + icon), radius=icon * 0.26, fill=color)
            shine = tuple(min(channel + 36, 255) for channel in color)
            draw.rounded_rectangle((x, y, x + icon, y + icon * 0.5), radius=icon * 0.26, fill=shine)
            draw.rectangle((x, y + icon * 0.3, x + icon, y + icon * 0.5), fill=color)
            draw.text((x + icon / 2, y + icon / 2), name[0], font=self._font(26), fill="white", anchor="mm")
            draw.text((x + icon / 2, y + icon + self._px(11)), name, font=self._font(11), fill="white", anchor="mm")
        return np.asarray(image).copy()

    def _draw_page(self) -> tuple[Image, Image]:
        header = self._pil.new("RGB", (self.width, self._px(52)), (32, 33, 36))
        self._pil_draw.Draw(header).text(
            (self._px(18), self._px(26)), "Daily Stream", font=self._font(20), fill="white", anchor="lm"
        )
        card, gap = self._px(118), self._px(10)
        page = self._pil.new("RGB", (self.width, (card + gap) * len(_HEADLINES)), (241, 243, 244))
        draw = self._pil_draw.Draw(page)
        for index, headline in enumerate(_HEADLINES):
            top = index * (card + gap) + gap // 2
            color = _APPS[index][1]
            draw.rounded_rectangle(
                (self._px(10), top, self.width - self._px(10), top + card), radius=self._px(12), fill="white"
            )
            frame = (self._px(20), top + self._px(14), self._px(104), top + card - self._px(14))
            draw.rounded_rectangle(frame, radius=self._px(8), fill=color)
            draw.text(
                (self._px(62), top + card / 2), _APPS[index][0][0], font=self._font(32), fill="white", anchor="mm"
            )
            draw.text((self._px(118), top + self._px(16)), headline, font=self._font(13), fill=(32, 33, 36))
            for line in range(4):
                end = self.width - self._px(24 + (index * 37 + line * 53) % 90)
                y = top + self._px(44 + 15 * line)
                draw.rounded_rectangle(
                    (self._px(118), y, end, y + self._px(6)), radius=self._px(3), fill=(218, 220, 224)
                )
        return np.asarray(page).copy(), np.asarray(header).copy()

    def _draw_ball(self, color: Color) -> tuple[Sprite, int]:
        """Return a ball, and how large it is."""
        size = self._px(54)
        y, x = np.mgrid[0:size, 0:size] - (size - 1) / 2
        cover = np.clip(size / 2 - np.hypot(x, y), 0, 1) * 255
        light = np.clip(1.35 - np.hypot(x + size * 0.18, y + size * 0.2) / size * 1.3, 0.3, 1.3)[..., None]
        image = np.clip(np.array(color) * light, 0, 255).astype(np.uint8)
        return Sprite(image, cover.astype(np.uint8)), size

    def _layer(self, image: Image) -> Picture:
        """Return a scene with what is on the screen in all of them."""
        layer = Picture.from_rgb(image)
        right, middle = self.width - self._px(12), self._bar // 2
        layer.fill(0, 0, self.width, self._bar, _BAR)
        layer.fill(right - self._px(20), middle - self._px(5), right, middle + self._px(5), (230, 230, 230))
        for bar in range(4):
            left, bottom = right - self._px(46) + bar * self._px(5), middle + self._px(5)
            layer.fill(left, bottom - self._px(2.5 * (bar + 1)), left + self._px(3), bottom, (230, 230, 230))
        layer.fill(0, self._strip, self.width, self.height, (24, 24, 24))
        return layer

    def _clock_of_now(self) -> Picture:
        text, clock = self._clock
        if text != (now := time.strftime("%H:%M:%S")):
            clock = self._draw_clock(now)
            self._clock = now, clock
        return clock

    def _draw_clock(self, text: str) -> Picture:
        image = self._pil.new("RGB", (self._px(90), self._bar), _BAR)
        place = self._px(12), self._bar / 2
        self._pil_draw.Draw(image).text(place, text, font=self._font(14), fill="white", anchor="lm")
        return Picture.from_rgb(np.asarray(image))

    def _draw_home(self, picture: Picture, seconds: float) -> None:
        picture.put(self._launcher)
        # A page indicator that moves, so that even the launcher is alive.
        y, size = self._strip - self._px(18), self._px(6)
        for dot in range(5):
            x = self.width // 2 + round((dot - 2) * size * 2.4)
            level = 255 if int(seconds * 2.5) % 5 == dot else 150
            picture.fill(x, y, x + size, y + size, (level, level, level))

    def _draw_app(self, picture: Picture, seconds: float) -> None:
        picture.put(self._reader)
        top, page = self._bar + self._header_height, self._page
        offset = int(seconds * 160 * self._unit) % page.height
        while top < self._strip:
            height = min(page.height - offset, self._strip - top)
            picture.put(page, 0, top, top=offset, height=height)
            top, offset = top + height, 0

    def _draw_game(self, picture: Picture, seconds: float) -> None:
        picture.put(self._night)
        for index, (ball, size) in enumerate(self._balls):
            width, height = self.width - size, self._strip - self._bar - size
            x = _bounce(seconds * (90 + 23 * index) * self._unit + index * 97, width)
            y = self._bar + _bounce(seconds * (120 + 31 * index) * self._unit + index * 61, height)
            ball.put(picture, x, y)


@functools.lru_cache(maxsize=4)
def shared_screen(width: int, height: int) -> Screen:
    """Return the screen of a size, which all phones of this process share: its layers take 0.1 s to draw."""
    return Screen(width, height)


def _bounce(distance: float, length: int) -> int:
    """Return where something is that goes to and fro over `length`, after `distance`."""
    along = distance % (2 * length)
    return int(min(along, 2 * length - along))
