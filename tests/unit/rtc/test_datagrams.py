"""DTLS records in a datagram."""

from hypothesis import given
from hypothesis import strategies as st

from streamer.rtc.datagrams import RECORD_LIMIT, split_records


def record(content: bytes) -> bytes:
    return b"\x17\xfe\xfd" + bytes(8) + len(content).to_bytes(2) + content


@given(st.lists(st.binary(max_size=200), max_size=20), st.binary(max_size=12))
def test_a_datagram_is_split_into_its_records(contents: list[bytes], rest: bytes) -> None:
    """The law: records packed together come out one by one, in order; what is no whole record behind them does not."""
    records = [record(content) for content in contents]
    assert split_records(b"".join(records) + rest) == records


@given(st.binary(max_size=3000))
def test_any_datagram_gives_records_that_are_parts_of_it(datagram: bytes) -> None:
    records = split_records(datagram)
    assert sum(map(len, records)) <= len(datagram)
    assert all(13 <= len(one) <= RECORD_LIMIT for one in records)


def test_a_record_that_is_cut_off_or_too_long_is_left_out() -> None:
    long, cut, good = record(bytes(RECORD_LIMIT - 12)), record(bytes(20))[:-1], record(b"good")
    assert split_records(long + good) == [good]
    assert split_records(good + cut) == [good]
