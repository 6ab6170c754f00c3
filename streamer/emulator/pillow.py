"""Pillow, which draws the emulator's screen. It is an extra: nothing imports it before a screen is drawn."""

from typing import Any

from streamer.errors import MissingExtraError


def load_pillow() -> tuple[Any, Any, Any]:
    """Return the modules `Image`, `ImageDraw` and `ImageFont`. Raises MissingExtraError without Pillow."""
    try:
        from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("the emulator", "image") from error
    return Image, ImageDraw, ImageFont
