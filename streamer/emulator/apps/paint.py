"""Drawing in density-independent pixels (dp): the screen's shorter side has 360 of them.

Text and shapes are drawn by Pillow. What moves is copied into the frame as sprites and layers that were drawn once.
"""

from collections.abc import Callable, Hashable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from streamer.emulator.picture import Color, Picture, Sprite
from streamer.emulator.pillow import load_pillow

Image = npt.NDArray[np.uint8]

MASKS_LIMIT: Final = 500  # texts and round corners that are kept, of each; beyond them all are drawn again
LAYERS_LIMIT: Final = 24  # layers and sprites that are kept; the oldest are drawn again
_SMALL: Final = 40.0  # dp
_SMOOTH: Final = 4  # shapes are drawn so many times larger, and made smaller

BACKGROUND: Final = (246, 247, 250)
SURFACE: Final = (255, 255, 255)
INK: Final = (27, 29, 35)
QUIET: Final = (104, 110, 122)
LINE: Final = (221, 224, 230)
ACCENT: Final = (25, 103, 210)
ACCENT_PRESSED: Final = (14, 72, 156)
DANGER: Final = (197, 34, 31)
GOOD: Final = (19, 115, 51)
PRESSED: Final = (226, 230, 238)


class Rect(NamedTuple):
    """A part of the screen, in dp."""

    x: float
    y: float
    width: float
    height: float

    def contains(self, x: float, y: float) -> bool:
        """Whether a point is in it."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height

    @property
    def center(self) -> tuple[float, float]:
        """Its middle."""
        return self.x + self.width / 2, self.y + self.height / 2


class Paint:
    """Draw frames of one size."""

    def __init__(self, width: int, height: int) -> None:
        self._pil, self._pil_draw, self._pil_font = load_pillow()
        self.width, self.height = width, height
        self.unit = min(width, height) / 360  # pixels a dp
        self._fonts: dict[int, Any] = {}
        self._texts: dict[tuple[str, int, str], tuple[Any, int, int]] = {}
        self._corners: dict[tuple[int, int], Any] = {}
        self._kept: dict[Hashable, Any] = {}
        self._image: Any = None
        self._draw: Any = None
        self._begin(width, height)

    def px(self, dp: float) -> int:
        """Return dp in whole pixels."""
        return round(dp * self.unit)

    def frame(self, draw: Callable[[], None]) -> Image:
        """Return what `draw` draws on an empty screen."""
        return self._drawn(self.width, self.height, draw)

    def layer(self, key: Hashable, height_dp: float, draw: Callable[[], None]) -> Image:
        """Return a page as wide as the screen, drawn once for each key. Its top is 0 dp."""
        layer: Image = self._keep(key, lambda: self._drawn(self.width, max(self.px(height_dp), 1), draw))
        return layer

    def picture(self, key: Hashable, height_dp: float, draw: Callable[[], None]) -> Picture:
        """Return the same as `layer` to be copied by apps that move it."""
        picture: Picture = self._keep(
            (Picture, key), lambda: Picture.from_rgb(self._drawn(self.width, max(self.px(height_dp), 1), draw))
        )
        return picture

    def sprite(self, key: Hashable, width_dp: float, height_dp: float, color: Color, radius_dp: float) -> Sprite:
        """Return a box of one color, drawn once for each key."""

        def make() -> Sprite:
            width, height = max(self.px(width_dp), 1), max(self.px(height_dp), 1)
            image = np.empty((height, width, 3), dtype=np.uint8)
            image[:] = color
            return Sprite(image, np.asarray(self._mask(width, height, self.px(radius_dp))))

        sprite: Sprite = self._keep(key, make)
        return sprite

    def fill(self, rect: Rect, color: Color) -> None:
        """Fill a part of the screen."""
        self._image.paste(color, self._edges(rect))

    def box(self, rect: Rect, color: Color, radius: float = 12.0) -> None:
        """Fill a part of the screen that has round corners."""
        left, top, right, bottom = self._edges(rect)
        corner = min(self.px(radius), (right - left) // 2, (bottom - top) // 2)
        if right <= left or bottom <= top:
            return
        if corner <= 0:
            self._image.paste(color, (left, top, right, bottom))
            return
        if right - left > 2 * corner:
            self._image.paste(color, (left + corner, top, right - corner, bottom))
        if bottom - top > 2 * corner:
            self._image.paste(color, (left, top + corner, right, bottom - corner))
        for number, place in enumerate(
            ((left, top), (right - corner, top), (left, bottom - corner), (right - corner, bottom - corner))
        ):
            self._image.paste(color, place, self._corner(corner, number))

    def outline(self, rect: Rect, color: Color, radius: float = 12.0, *, inside: Color = SURFACE) -> None:
        """Draw a box with a border of 2 dp."""
        self.box(rect, color, radius)
        self.box(Rect(rect.x + 2, rect.y + 2, rect.width - 4, rect.height - 4), inside, max(radius - 2, 0))

    def dot(self, x: float, y: float, radius: float, color: Color) -> None:
        """Draw a disc."""
        self.box(Rect(x - radius, y - radius, 2 * radius, 2 * radius), color, radius)

    def line(self, points: list[tuple[float, float]], color: Color, width: float = 2.0) -> None:
        """Draw a line through points; a short one is smooth."""
        pixels = [(x * self.unit, y * self.unit) for x, y in points]
        left, top = (int(min(values) - width * self.unit) for values in zip(*pixels, strict=True))
        right, bottom = (int(max(values) + width * self.unit) + 1 for values in zip(*pixels, strict=True))
        if max(right - left, bottom - top) > self.px(_SMALL):
            self._draw.line(pixels, fill=color, width=max(self.px(width), 1), joint="curve")
            return
        large = self._pil.new("L", ((right - left) * _SMOOTH, (bottom - top) * _SMOOTH), 0)
        moved = [((x - left) * _SMOOTH, (y - top) * _SMOOTH) for x, y in pixels]
        self._pil_draw.Draw(large).line(moved, fill=255, width=round(width * self.unit * _SMOOTH), joint="curve")
        mask = large.resize((right - left, bottom - top), self._pil.Resampling.BOX)
        self._image.paste(color, (left, top), mask)

    def text(self, x: float, y: float, text: str, size: float, color: Color = INK, *, anchor: str = "lm") -> None:
        """Write a line of text; the anchors are Pillow's."""
        mask, left, top = self._written(text, max(self.px(size), 1), anchor)
        self._image.paste(color, (self.px(x) + left, self.px(y) + top), mask)

    def text_width(self, text: str, size: float) -> float:
        """Return how wide a line of text is, in dp."""
        return float(self._font(size).getlength(text)) / self.unit

    def put_image(self, image: Image, y: float) -> None:
        """Put a layer that is as wide as the screen at a height."""
        self._image.paste(self._pil.fromarray(image), (0, self.px(y)))

    def _begin(self, width: int, height: int) -> None:
        self._image = self._pil.new("RGB", (width, height), BACKGROUND)
        self._draw = self._pil_draw.Draw(self._image)

    def _drawn(self, width: int, height: int, draw: Callable[[], None]) -> Image:
        """Return what is drawn, whatever is being drawn around it."""
        around = self._image, self._draw
        try:
            self._begin(width, height)
            draw()
            return np.asarray(self._image)
        finally:
            self._image, self._draw = around

    def _keep(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._kept:
            while len(self._kept) >= LAYERS_LIMIT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = make()
        return self._kept[key]

    def _written(self, text: str, pixels: int, anchor: str) -> tuple[Any, int, int]:
        """Return a line of text as a mask, and where that begins from the place of its anchor."""
        key = text, pixels, anchor
        if key not in self._texts:
            if len(self._texts) >= MASKS_LIMIT:
                self._texts.clear()
            font = self._font_of(pixels)
            left, top, right, bottom = (round(edge) for edge in font.getbbox(text, anchor=anchor))
            mask = self._pil.new("L", (max(right - left, 1), max(bottom - top, 1)), 0)
            self._pil_draw.Draw(mask).text((-left, -top), text, font=font, fill=255, anchor=anchor)
            self._texts[key] = mask, left, top
        return self._texts[key]

    def _font(self, size: float) -> Any:
        return self._font_of(max(self.px(size), 1))

    def _font_of(self, pixels: int) -> Any:
        if pixels not in self._fonts:
            self._fonts[pixels] = self._pil_font.load_default(pixels)
        return self._fonts[pixels]

    def _corner(self, radius: int, number: int) -> Any:
        """Return a quarter of a disc as a mask: the upper left, upper right, lower left or lower right one."""
        if (radius, number) not in self._corners:
            if len(self._corners) >= MASKS_LIMIT:
                self._corners.clear()
            x, y = number % 2 * radius, number // 2 * radius
            disc = self._mask(2 * radius, 2 * radius, radius)
            self._corners[radius, number] = disc.crop((x, y, x + radius, y + radius))
        return self._corners[radius, number]

    def _mask(self, width: int, height: int, radius: int) -> Any:
        large = self._pil.new("L", (width * _SMOOTH, height * _SMOOTH), 0)
        corner = (width * _SMOOTH - 1, height * _SMOOTH - 1)
        self._pil_draw.Draw(large).rounded_rectangle((0, 0, *corner), radius * _SMOOTH, fill=255)
        return large.resize((width, height), self._pil.Resampling.BOX)

    def _edges(self, rect: Rect) -> tuple[int, int, int, int]:
        return (
            self.px(rect.x),
            self.px(rect.y),
            self.px(rect.x + rect.width),
            self.px(rect.y + rect.height),
        )


def put_layer(picture: Picture, layer: Picture, top: int, bottom: int, offset: int) -> None:
    """Show rows of a layer between two rows of the picture, in pixels, from row `offset` of the layer on.

    Rows that the layer does not have, above it and below, stay as they are in the picture.
    """
    first, last = max(-offset, 0), min(bottom - top, layer.height - offset)
    if last > first:
        picture.put(layer, 0, top + first, top=offset + first, height=last - first)
