"""Socket.IO 2 packets, against a little encoder that knows nothing of the decoder."""

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import SignalingProtocolError
from streamer.signaling.socketio import MAX_ATTACHMENTS, MAX_DEPTH, SocketPacket, attach, decode, encode_event

EVENT, ACK, BINARY_EVENT, BINARY_ACK = "2", "3", "5", "6"
TYPES: Final = "0123456"

numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8"))
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
events = st.builds(lambda name, arguments: [name, *arguments], texts, st.lists(values, max_size=3))
namespaces = st.from_regex(r"/[a-z?=&/]{1,12}", fullmatch=True)


def encode(packet: SocketPacket) -> str:
    """Write a packet as the revision 4 of the protocol has it."""
    attachments = f"{packet.attachments}-" if packet.type in {BINARY_EVENT, BINARY_ACK} else ""
    namespace = f"{packet.namespace}," if packet.namespace != "/" else ""
    ack_id = str(packet.ack_id) if packet.ack_id is not None else ""
    return packet.type + attachments + namespace + ack_id + json.dumps(packet.data)


packets = st.builds(
    lambda packet_type, namespace, ack_id, attachments, event: SocketPacket(
        type=packet_type,
        namespace=namespace,
        ack_id=ack_id,
        attachments=attachments if packet_type in {BINARY_EVENT, BINARY_ACK} else 0,
        data=event,
    ),
    st.sampled_from([EVENT, ACK, BINARY_EVENT, BINARY_ACK]),
    st.just("/") | namespaces,
    st.none() | st.integers(0, 10**15 - 1),
    st.integers(0, MAX_ATTACHMENTS),
    events,
)


@given(packets)
def test_an_encoded_packet_is_decoded(packet: SocketPacket) -> None:
    assert decode(encode(packet)) == packet


@given(texts, st.lists(values, max_size=3))
def test_an_event_of_ours_is_read_by_any_json_reader(name: str, arguments: list[Any]) -> None:
    frame = encode_event(name, *arguments)
    assert frame.startswith("42[")
    assert json.loads(frame[2:]) == [name, *arguments]
    assert decode(frame[1:]) == SocketPacket(type=EVENT, data=[name, *arguments])


@given(st.text() | st.from_regex(r"[0-6](\d{1,3}-)?(/\w*,?)?\d*[\[{\"]?.*", fullmatch=True))
def test_any_text_is_a_packet_or_a_protocol_error(text: str) -> None:
    try:
        packet = decode(text)
    except SignalingProtocolError:
        return
    assert packet.type in TYPES
    assert 0 <= packet.attachments <= MAX_ATTACHMENTS
    if packet.type in {EVENT, BINARY_EVENT}:
        assert isinstance(packet.data[0], str)


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0", SocketPacket(type="0")),
        ("0/ns", SocketPacket(type="0", namespace="/ns")),
        ("0/ns?token=1,", SocketPacket(type="0", namespace="/ns?token=1")),
        ("1", SocketPacket(type="1")),
        ("1/ns,", SocketPacket(type="1", namespace="/ns")),
        ('4"not you"', SocketPacket(type="4", data="not you")),
        ('2["a"]', SocketPacket(type="2", data=["a"])),
        ('21["a",{"b":1}]', SocketPacket(type="2", ack_id=1, data=["a", {"b": 1}])),
        ('2/ns,12["a,b"]', SocketPacket(type="2", namespace="/ns", ack_id=12, data=["a,b"])),
        ('2["/not,a namespace"]', SocketPacket(type="2", data=["/not,a namespace"])),
        ("37[]", SocketPacket(type="3", ack_id=7, data=[])),
        ('51-["a",0]', SocketPacket(type="5", attachments=1, data=["a", 0])),
        ('52-/ns,3["a"]', SocketPacket(type="5", attachments=2, namespace="/ns", ack_id=3, data=["a"])),
    ],
)
def test_every_optional_part_is_found(text: str, packet: SocketPacket) -> None:
    assert decode(text) == packet


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "x",
        "2",
        "2{}",
        "2[]",
        "2[1]",
        '2["a"',
        '2["a"]]',
        '21-["a"]',
        '5["a"]',
        f'5{MAX_ATTACHMENTS + 1}-["a"]',
        '5999999999999-["a"]',
        f'2{"9" * 16}["a"]',
        '2["\ud800"]',
        "2" + "[" * 100_000,
    ],
)
def test_an_invalid_packet_is_a_protocol_error(text: str) -> None:
    with pytest.raises(SignalingProtocolError):
        decode(text)


def detach(data: Any, attachments: list[bytes]) -> Any:
    """Take the bytes out of an event's data, as the protocol has it."""
    match data:
        case bytes():
            attachments.append(data)
            return {"_placeholder": True, "num": len(attachments) - 1}
        case dict():
            return {name: detach(value, attachments) for name, value in data.items()}
        case list():
            return [detach(value, attachments) for value in data]
        case _:
            return data


@given(
    st.recursive(
        st.none() | numbers | texts | st.binary(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=10,
    )
)
def test_attachments_come_back_to_where_they_were(data: Any) -> None:
    attachments: list[bytes] = []
    assert attach(detach(data, attachments), attachments) == data


@pytest.mark.parametrize("number", [-1, 1, 10**30, "0", None, 0.0])
def test_a_placeholder_without_its_attachment_stays_what_it_is(number: object) -> None:
    placeholder = {"_placeholder": True, "num": number}
    assert attach([placeholder], [b"only one"]) == [placeholder]


@pytest.mark.parametrize(("depth", "fits"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, False), (300, False)])
def test_data_of_an_event_with_attachments_is_nested_up_to_a_limit(depth: int, fits: bool) -> None:
    data = decode('51-["a",' + "[" * depth + "]" * depth + "]").data
    if fits:
        assert attach(data, [b""]) == data
    else:
        with pytest.raises(SignalingProtocolError, match="nesting"):
            attach(data, [b""])
