"""Reads text with the models in rapidocr's wheel, by onnxruntime: the extra `ocr`. Nothing is ever downloaded.

Of rapidocr only the files of its models are used. Its own code takes a second to import, sets up a log of its own, and
downloads what it does not find.
"""

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from streamer.errors import IncompatibleLibraryError, MissingExtraError

Pixels = npt.NDArray[np.uint8]

DETECTED_SIDE: Final = 288  # pixels: the shorter side of what text is looked for in, 0.8 of Android's usual 360 dp
_DETECTOR: Final = "PP-OCRv6_det_small.onnx"
_RECOGNIZER: Final = "PP-OCRv6_rec_small.onnx"
_STRIDE: Final = 32  # of the detector: it takes multiples of this
_LEAST: Final = 0.3  # of 1: how likely a pixel is text
_BOX_LEAST: Final = 0.5  # of 1: the mean of that over a line
_LINE_HEIGHT: Final = 48  # pixels: what the recognizer takes
_LINE_LEAST, _LINE_LIMIT = 32, 3200  # pixels: how wide a line may be for it
_SHORT: Final = 64  # pixels: up to this width, lines are read together
_SHORT_STEP: Final = 16  # pixels: they are made as wide as the next multiple
_BATCH: Final = 8  # so many at once: more cost more memory, and take no less time
_GROWN: Final = 1.6  # how much a line's area exceeds what the detector marks of it, per its outline


class Box(NamedTuple):
    """A line of text on an image, in pixels; `right` and `bottom` are the first ones outside."""

    left: int
    top: int
    right: int
    bottom: int


class Reading(NamedTuple):
    """What a line says, how sure that is (0 to 1), and where the middle of each character is (0 to 1 of the width)."""

    text: str
    score: float
    middles: tuple[float, ...]


class Engine:
    """Finds lines of text in an image, and reads them. Any thread may use it; each computes on one core."""

    def __init__(self, folder: Path) -> None:
        import cv2  # noqa: PLC0415 - an extra
        import onnxruntime  # noqa: PLC0415 - an extra

        self._cv2: Any = cv2
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # it runs beside the decoder and the event loop
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = False  # it would keep the memory of the largest frame for good

        def session(name: str) -> Any:
            return onnxruntime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])

        self._detector, self._recognizer = session(_DETECTOR), session(_RECOGNIZER)
        characters = self._recognizer.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._characters = ["", *characters, " "]  # the first stands for none

    def find_lines(self, rgb: Pixels, scale: float) -> list[Box]:
        """Return where lines of text are, in pixels of `rgb`; `scale` is how much smaller it is looked at."""
        cv2 = self._cv2
        height, width = rgb.shape[:2]
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        small = cv2.copyMakeBorder(small, 0, -size[1] % _STRIDE, 0, -size[0] % _STRIDE, cv2.BORDER_REPLICATE)
        likely = self._run(self._detector, small[None])[0, 0]
        count, _, boxes, _ = cv2.connectedComponentsWithStats((likely > _LEAST).astype(np.uint8), connectivity=8)
        across, down = width / size[0], height / size[1]
        found = []
        for left, top, wide, tall, _ in boxes[1:count].tolist():
            if min(wide, tall) < 3 or likely[top : top + tall, left : left + wide].mean() < _BOX_LEAST:
                continue
            grown = wide * tall * _GROWN / (2 * (wide + tall))
            found.append(
                Box(
                    max(round((left - grown) * across), 0),
                    max(round((top - grown) * down), 0),
                    min(round((left + wide + grown) * across), width),
                    min(round((top + tall + grown) * down), height),
                )
            )
        return found

    def read_lines(self, lines: Sequence[Pixels]) -> list[Reading]:
        """Read lines, each an image of its own; return what they say, in the same order.

        Short lines are read several at a time: a call costs as much as 30 pixels of a line.
        """
        batches: list[tuple[int, list[int]]] = []  # how wide the lines of each are, and which they are
        short: dict[int, list[int]] = {}
        for number, rgb in enumerate(lines):
            height, width = rgb.shape[:2]
            wide = min(max(round(width * _LINE_HEIGHT / height), _LINE_LEAST), _LINE_LIMIT)
            if wide > _SHORT:
                batches.append((wide, [number]))
            else:
                short.setdefault(-(-wide // _SHORT_STEP) * _SHORT_STEP, []).append(number)
        for wide, numbers in short.items():
            batches += [(wide, numbers[first : first + _BATCH]) for first in range(0, len(numbers), _BATCH)]
        readings: dict[int, Reading] = {}
        for wide, numbers in batches:
            read = self._read_batch([lines[number] for number in numbers], wide)
            readings.update(zip(numbers, read, strict=True))
        return [readings[number] for number in range(len(lines))]

    def _read_batch(self, lines: Sequence[Pixels], wide: int) -> list[Reading]:
        cv2 = self._cv2
        batch = [cv2.resize(rgb, (wide, _LINE_HEIGHT), interpolation=cv2.INTER_LINEAR) for rgb in lines]
        return [self._reading(steps) for steps in self._run(self._recognizer, np.stack(batch))]

    def _reading(self, steps: npt.NDArray[np.float32]) -> Reading:
        best = steps.argmax(axis=1)
        is_read = (best != 0) & (np.diff(best, prepend=-1) != 0)
        places = np.flatnonzero(is_read)
        text = "".join(self._characters[index] for index in best[places].tolist())
        score = float(steps[places, best[places]].mean()) if len(places) else 0.0
        return Reading(text, score, tuple(((places + 0.5) / len(steps)).tolist()))

    def _run(self, session: Any, batch: Pixels) -> npt.NDArray[np.float32]:
        planes = np.ascontiguousarray(batch[..., ::-1].transpose(0, 3, 1, 2), dtype=np.float32)  # they learned BGR
        result: npt.NDArray[np.float32] = session.run(None, {"x": planes / 127.5 - 1})[0]
        return result


def models() -> Path:
    """Return the folder with the models. It loads nothing.

    Raises MissingExtraError if the extra is not installed, and IncompatibleLibraryError if rapidocr has other models.
    """
    specs = [importlib.util.find_spec(name) for name in ("cv2", "onnxruntime", "rapidocr")]
    if not all(specs) or specs[-1] is None or specs[-1].origin is None:
        raise MissingExtraError("get_by_text()", "ocr")
    folder = Path(specs[-1].origin).parent / "models"
    if not all((folder / name).is_file() for name in (_DETECTOR, _RECOGNIZER)):
        raise IncompatibleLibraryError(
            f"expected rapidocr with the models {_DETECTOR} and {_RECOGNIZER}, got another one: "
            "pip install 'koophone-streamer[ocr]'"
        )
    return folder


@functools.cache
def engine() -> Engine:
    """Return the engine of this process. The first call takes half a second, for the libraries and the models."""
    return Engine(models())
