"""The AV1 depacketizer: libsvtav1's temporal units, cut in every way that the payload format allows.

libavformat's packets are in test_depacketizer_choice.
"""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.codecs.av1 import Av1Depacketizer
from streamer.media.codecs.depacketizer import MalformedPayload
from tests.support.examples import examples
from tests.support.senders import decoded, encoded_as

UNITS = encoded_as("av1", 6, keyframe_every=3, noise=True)
SEQUENCE_HEADER, DELIMITER, FRAME_HEADER, TILE_GROUP, METADATA, FRAME, PADDING = 1, 2, 3, 4, 5, 6, 15


def leb128(value: int, *, size: int = 1) -> bytes:
    """Return a number in LEB128, in `size` bytes at least."""
    digits = [value >> shift & 0x7F for shift in range(0, max(7 * size, value.bit_length()), 7)]
    return bytes((*(digit | 0x80 for digit in digits[:-1]), digits[-1]))


def obus(unit: bytes) -> list[tuple[int, bytes]]:
    """Return the type and the content of each OBU of a low-overhead stream, none of which has an extension."""
    found = []
    while unit:
        header, size, position = unit[0], 0, 1
        for shift in itertools.count(0, 7):
            byte, position = unit[position], position + 1
            size |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        assert header & 0x06 == 0x02
        found.append((header >> 3, unit[position : position + size]))
        unit = unit[position + size :]
    return found


def obu(kind: int, content: bytes, *, sized: bool = False, layer: int | None = None) -> bytes:
    """Return an OBU as a packet carries it: mostly without its size; `layer` is its spatial layer."""
    extension = b"" if layer is None else bytes((layer << 3,))
    size = leb128(len(content)) if sized else b""
    return bytes((kind << 3 | bool(extension) << 2 | sized << 1,)) + extension + size + content


def payload(elements: list[bytes], *, counted: bool = True, z: bool = False, y: bool = False, n: bool = False) -> bytes:
    """Return a payload of OBU elements; `counted` says their number in the header, and leaves out the last length."""
    count = len(elements) if counted else 0
    *whole, last = elements
    data = b"".join(leb128(len(element)) + element for element in whole)
    data += last if counted else leb128(len(last)) + last
    return bytes((z << 7 | y << 6 | count << 4 | n << 3,)) + data


def finish(payloads: list[bytes]) -> tuple[bytes, bool] | None:
    depacketizer = Av1Depacketizer()
    for data in payloads:
        depacketizer.add(data)
    return depacketizer.finish()


def given_out(payloads: list[bytes]) -> tuple[bytes, bool]:
    finished = finish(payloads)
    assert finished is not None
    return finished


@given(st.data())
@examples(60)
def test_a_temporal_unit_cut_in_any_allowed_way_comes_out_unchanged(data: st.DataObject) -> None:
    """The law: for any choice of where packets end, of whether elements are counted, and of which OBUs keep their size,
    what comes out is the low-overhead stream that the encoder made."""
    unit = UNITS[data.draw(st.integers(0, 5))]
    elements = [obu(kind, content, sized=data.draw(st.booleans())) for kind, content in obus(unit) if kind != DELIMITER]
    payloads: list[bytes] = []
    pending, continues = elements, False
    while pending:
        count = data.draw(st.integers(1, min(len(pending), 3)))
        taken, pending = pending[:count], pending[count:]
        goes_on = len(taken[-1]) > 1 and len(payloads) < 20 and data.draw(st.booleans())
        if goes_on:
            cut = data.draw(st.integers(1, len(taken[-1]) - 1))
            pending = [taken[-1][cut:], *pending]
            taken[-1] = taken[-1][:cut]
        payloads.append(payload(taken, counted=data.draw(st.booleans()), z=continues, y=goes_on))
        continues = goes_on
    assert given_out(payloads)[0] == unit


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_a_delimiter_that_the_sender_left_in_appears_once(pix_fmt: str) -> None:
    units = encoded_as("av1", 2, pix_fmt=pix_fmt)
    finished = []
    for unit in units:
        elements = [obu(kind, content) for kind, content in obus(unit)]
        assert elements[0] == obu(DELIMITER, b"")
        finished.append(given_out([payload([element]) for element in elements])[0])
    assert finished == units
    assert len(decoded("av1", finished)) == 2


def test_only_a_shown_key_frame_with_a_sequence_header_is_a_keyframe() -> None:
    _, header, frame = obus(UNITS[0])
    assert (header[0], frame[0]) == (SEQUENCE_HEADER, FRAME)
    shown_key, shown_inter, hidden_key, again = b"\x10", b"\x30", b"\x00", b"\x80"
    for kind, first in itertools.product([FRAME, FRAME_HEADER], [shown_key, shown_inter, hidden_key, again]):
        with_header = given_out([payload([obu(*header), obu(kind, first + b"rest")])])
        assert with_header[1] == (first == shown_key)
        assert not given_out([payload([obu(kind, first + b"rest")])])[1]
    layers = [obu(FRAME, shown_key, layer=0), obu(FRAME, shown_inter, layer=1)]
    assert given_out([payload([obu(*header), *layers])])[1]
    assert not given_out([payload([obu(*header), *reversed(layers)])])[1]


def test_a_unit_without_a_frame_is_dropped() -> None:
    _, header, _ = obus(UNITS[0])
    assert finish([payload([obu(*header)])]) is None
    assert finish([payload([obu(METADATA, b"\x04x"), obu(PADDING, b"")])]) is None
    assert finish([payload([obu(DELIMITER, b"")])]) is None


def test_extensions_are_kept_and_every_obu_gets_its_size() -> None:
    data, _ = given_out([payload([obu(FRAME, bytes(200), layer=1), obu(TILE_GROUP, b"ab", sized=True, layer=2)])])
    assert data == b"\x12\x00" + b"\x36\x08\xc8\x01" + bytes(200) + b"\x26\x10\x02ab"


def test_lengths_may_be_written_longer_than_necessary() -> None:
    element = obu(FRAME, b"content")
    assert given_out([b"\x00" + leb128(len(element), size=5) + element]) == given_out([payload([element])])


def test_the_first_packet_of_a_coded_video_sequence_is_recognized() -> None:
    element = obu(FRAME, b"content")
    assert Av1Depacketizer.starts_unit(payload([element], n=True))
    assert not Av1Depacketizer.starts_unit(payload([element]))


MALFORMED = {
    "no element": [b"\x00"],
    "no element where one is counted": [b"\x10"],
    "an element less than is counted": [b"\x20\x01\x32"],
    "an element more than fits": [b"\x00\x05\x32"],
    "a length without its end": [b"\x00\x80\x80"],
    "a length of more than eight bytes": [b"\x00" + b"\x80" * 8 + b"\x00\x32"],
    "an empty OBU": [b"\x00\x00"],
    "a header with the forbidden bit": [b"\x10\xb0"],
    "a header without its extension": [b"\x10\x34"],
    "a size without its end": [b"\x10\x32\x80"],
    "a size that is not the element's": [b"\x10\x32\x01ab"],
    "a fragment without its beginning": [b"\x90ab"],
    "a fragment that something else follows": [b"\x50\x32ab", b"\x10\x32ab"],
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_a_malformed_payload_raises(fault: str) -> None:
    depacketizer = Av1Depacketizer()
    *before, last = MALFORMED[fault]
    for data in before:
        depacketizer.add(data)
    with pytest.raises(MalformedPayload):
        depacketizer.add(last)


def test_a_unit_that_ends_inside_an_obu_is_malformed_and_dropped() -> None:
    depacketizer = Av1Depacketizer()
    depacketizer.add(b"\x50\x32ab")
    with pytest.raises(MalformedPayload, match="without its end"):
        depacketizer.finish()
    assert depacketizer.is_empty
    assert depacketizer.finish() is None
