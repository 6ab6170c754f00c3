"""What is read on a frame, and what is not read again."""

import importlib.util
import socket
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

import streamer
from streamer.errors import IncompatibleLibraryError
from streamer.targets import ocr
from streamer.targets.ocr import Engine
from streamer.targets.reading import CallingReader, IncrementalReader, TextLine
from streamer.watch.region import Region
from tests.support.app_screens import HEIGHT, WIDTH, Screen, frame_of, screens, without_spaces

pytestmark = pytest.mark.edge  # a second for each screen on a slow machine
READ = ("settings", "errors", "welcome", "notices", "dialog")  # `python -m benchmarks.texts` reads all


@pytest.fixture(scope="module")
def reader() -> IncrementalReader:
    return IncrementalReader()


@pytest.fixture(scope="module")
def shown() -> dict[str, Screen]:
    return {screen.name: screen for screen in screens()}


def said(lines: tuple[TextLine, ...]) -> Counter[str]:
    return Counter(without_spaces(line.text) for line in lines)


def test_every_label_of_a_screen_is_read_whatever_was_read_before(
    reader: IncrementalReader, shown: dict[str, Screen], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("it must not need the network")

    monkeypatch.setattr(socket, "socket", no_network)
    for name in READ:
        missing = Counter(map(without_spaces, shown[name].labels)) - said(
            reader.read(frame_of(shown[name].image), None)
        )
        assert not missing, name


def test_only_the_lines_that_changed_are_read_again(
    reader: IncrementalReader, shown: dict[str, Screen], monkeypatch: pytest.MonkeyPatch
) -> None:
    notices, toast = (frame_of(shown[name].image) for name in ("notices", "short toast"))
    before = reader.read(notices, None)
    texts: list[str] = []
    read_lines = Engine.read_lines

    def overheard(engine: Engine, lines: Sequence[np.ndarray]) -> list[ocr.Reading]:
        readings = read_lines(engine, lines)
        texts.extend(reading.text for reading in readings)
        return readings

    monkeypatch.setattr(Engine, "read_lines", overheard)
    assert set(before) < set(reader.read(toast, None))
    assert texts == ["Saved"]
    assert set(reader.read(notices, None)) == set(before)
    assert texts == ["Saved"]


def test_the_keys_of_a_keyboard_are_read_together_as_they_are_alone(shown: dict[str, Screen]) -> None:
    engine = ocr.engine()
    keyboard = np.ascontiguousarray(shown["keyboard"].image[HEIGHT // 2 :])
    boxes = engine.find_lines(keyboard, ocr.DETECTED_SIDE / WIDTH)
    keys = [keyboard[box.top : box.bottom, box.left : box.right] for box in boxes]
    together = engine.read_lines(keys)
    assert [reading.text for reading in together] == [engine.read_lines([key])[0].text for key in keys]
    read = {reading.text.casefold() for reading in together}
    assert read >= {*"0123456789", *"abcdefghkmnopqrstuvwxyz", "space", "enter"}  # and i, j and l as what looks so


def test_a_line_is_where_it_was_drawn(reader: IncrementalReader, shown: dict[str, Screen]) -> None:
    lines = reader.read(frame_of(shown["notices"].image), None)
    line = next(line for line in lines if line.text == "Toast of 2 s")
    left, top, right, bottom = line.region.pixels(WIDTH, HEIGHT)
    assert (left + right) / 2 == pytest.approx(360, abs=4)
    assert (top + bottom) / 2 == pytest.approx(472, abs=6)
    assert 24 <= bottom - top <= 80
    assert len(line.middles) == len(line.text)


def test_a_part_of_the_frame_is_read_alone_and_the_rest_when_it_is_wanted(
    reader: IncrementalReader, shown: dict[str, Screen]
) -> None:
    notices, deleted = (frame_of(shown[name].image) for name in ("notices", "deleted"))
    reader.read(notices, None)
    part = said(reader.read(deleted, Region(0, 1100, WIDTH, 120)))
    assert part["Notedeleted"] == part["3notes"] == 1  # the latter as it was: it is not in that part
    whole = said(reader.read(deleted, None))
    assert (whole["Notedeleted"], whole["2notes"], whole["3notes"]) == (1, 1, 0)


def test_a_frame_of_another_size_is_read_from_the_beginning(
    reader: IncrementalReader, shown: dict[str, Screen]
) -> None:
    image = shown["canvas"].image
    reader.read(frame_of(image), None)
    cut = np.ascontiguousarray(image[: HEIGHT // 2])
    assert said(reader.read(frame_of(cut), None)) == Counter({"12:00": 1, "Drawhere": 1, "Clear": 1})


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find_spec(name))
    with pytest.raises(streamer.MissingExtraError, match=r"^get_by_text\(\) needs the extra 'ocr': pip install"):
        IncrementalReader()


def test_other_models_than_those_that_were_tested_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "_RECOGNIZER", "PP-OCRv7_rec_small.onnx")
    with pytest.raises(IncompatibleLibraryError, match=r"PP-OCRv7_rec_small\.onnx, got another one: pip install"):
        IncrementalReader()


def test_a_blank_frame_has_no_lines(reader: IncrementalReader) -> None:
    assert reader.read(frame_of(np.full((200, 120, 3), 255, np.uint8)), None) == ()


def test_a_function_of_the_program_reads_each_frame_once() -> None:
    calls: list[tuple[int, ...]] = []

    def read_text(pixels: np.ndarray) -> list[TextLine]:
        calls.append(pixels.shape)
        return [TextLine("Pay", Region(0, 0, 40, 20))]

    reader, frame = CallingReader(read_text), frame_of(np.zeros((64, 48, 3), np.uint8))
    assert (
        reader.read(frame, None) == reader.read(frame, Region(0, 0, 10, 10)) == (TextLine("Pay", Region(0, 0, 40, 20)),)
    )
    reader.read(frame_of(np.zeros((64, 48, 3), np.uint8)), None)
    assert calls == [(64, 48, 3)] * 2


def test_a_function_that_returns_something_else_is_an_error_that_says_what_is_expected() -> None:
    reader = CallingReader(lambda _: ["Pay"])  # type: ignore[arg-type]
    with pytest.raises(
        streamer.ConfigurationError, match=r"expected read_text to give streamer\.TextLine objects, got str"
    ):
        reader.read(frame_of(np.zeros((64, 48, 3), np.uint8)), None)
