"""The embedded phone's screen: a launcher, a reader with scrolling text and a music player, taking turns.

Everything that stands still is drawn once with Pillow, in RGB, and kept as yuv420p layers. A picture is then a copy of
its scene's layer, a few pasted patches and the barcode: some tenths of a millisecond at 720x1280, so that what a
demo or a benchmark spends goes into encoding and streaming. Time is an argument: the same times give the same picture.

    layer of the scene ── moving parts pasted ──┐
    layer of the next scene, while they change ─┴─ side by side ── barcode ── picture

Sizes are in `dp`, 1/360 of the shorter side, so any even size has the same layout. Needs the extra `image`.
"""

try:
    from PIL import Image, ImageDraw, ImageFilter, ImageFont
except ImportError:  # pragma: no cover - said by `check_pillow` when a phone is started
    Image = None  # type: ignore[assignment]
