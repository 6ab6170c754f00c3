"""The strip that says which frame it is: what is drawn is read back, and nothing else is."""

import fractions

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.emulator import Barcode, draw_barcode, read_barcode
from streamer.emulator.barcode import CELLS, cell_size

numbers = st.integers(0, 2**32 - 1)
sides = st.integers(90, 700)


@given(counter=numbers, clock_ms=numbers, width=sides, height=sides, colour=st.booleans())
def test_a_drawn_barcode_is_read_at_any_size(
    counter: int, clock_ms: int, width: int, height: int, colour: bool
) -> None:
    image = np.full((height, width, 3) if colour else (height, width), 119, np.uint8)
    draw_barcode(image, counter, clock_ms)
    assert read_barcode(image) == Barcode(counter, clock_ms)


@given(counter=st.integers(2**32, 2**40))
def test_the_numbers_count_modulo_two_to_the_32(counter: int) -> None:
    image = np.zeros((180, 90), np.uint8)
    draw_barcode(image, counter, counter)
    assert read_barcode(image) == Barcode(counter % 2**32, counter % 2**32)


@given(cell=st.integers(0, 2 * CELLS - 1), counter=numbers, clock_ms=numbers)
def test_one_wrong_cell_makes_the_strip_unreadable(cell: int, counter: int, clock_ms: int) -> None:
    image = np.zeros((180, 90), np.uint8)
    draw_barcode(image, counter, clock_ms)
    row, column = divmod(cell, CELLS)
    image[176 + 2 * row : 178 + 2 * row, 2 * column : 2 * column + 2] ^= 255
    assert read_barcode(image) is None


@pytest.mark.parametrize("shade", [0, 127, 255])
def test_a_plain_frame_has_no_barcode(shade: int) -> None:
    assert read_barcode(np.full((1280, 720), shade, np.uint8)) is None


def test_the_strip_has_the_place_and_bits_that_other_readers_rely_on() -> None:
    image = np.full((1280, 720), 119, np.uint8)
    draw_barcode(image, 1, 0xA5000000)
    assert cell_size(720, 1280) == 16
    assert (image[: 1280 - 32] == 119).all()
    assert (image[:, 44 * 16 :] == 119).all()
    upper, lower = ("".join("1" if value else "0" for value in image[row, 8 : 44 * 16 : 16]) for row in (1256, 1272))
    assert upper == "1010" + f"{1:032b}" + f"{0x07:08b}"  # the CRC-8 of 00 00 00 01 is the polynomial itself
    assert lower[:12] == "1010" + "10100101"


@pytest.mark.edge
@pytest.mark.parametrize(("width", "height"), [(720, 1280), (1280, 720), (360, 640), (1080, 1920)])
def test_the_strip_survives_the_encoder_either_way_up(width: int, height: int) -> None:
    encoder, decoder = av.CodecContext.create("libx264", "w"), av.CodecContext.create("h264", "r")
    assert isinstance(encoder, av.VideoCodecContext)
    assert isinstance(decoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = fractions.Fraction(1, 30)
    encoder.options = {"preset": "superfast", "tune": "zerolatency", "crf": "35"}
    noise = np.random.default_rng(7).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    image = np.kron(noise, np.ones((8, 8, 1), np.uint8))
    read = []
    for counter in range(5):
        draw_barcode(image, counter, 1000 + counter)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
        frame.pts = counter
        for packet in encoder.encode(frame):
            read += [
                read_barcode(decoded.to_ndarray(format="gray").astype(np.uint8)) for decoded in decoder.decode(packet)
            ]
    read += [read_barcode(decoded.to_ndarray(format="gray").astype(np.uint8)) for decoded in decoder.decode(None)]
    assert read == [Barcode(counter, 1000 + counter) for counter in range(5)]


@given(counter=numbers, clock_ms=numbers)
def test_the_strip_is_read_from_a_frame_of_half_the_size(counter: int, clock_ms: int) -> None:
    image = np.full((640, 360, 3), 119, np.uint8)
    draw_barcode(image, counter, clock_ms)
    half = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(width=180, height=320)
    assert read_barcode(np.asarray(half.to_ndarray(format="rgb24"), dtype=np.uint8)) == Barcode(counter, clock_ms)
