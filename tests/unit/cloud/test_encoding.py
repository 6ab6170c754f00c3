"""Bodies as gateways send them."""

import gzip
import json
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.cloud.encoding import ENCODINGS_LIMIT, MEMBERS_LIMIT, UnreadableBodyError, decode_body

LIMIT = 100_000
BODY = json.dumps({"error_msg": "成功 é"}, ensure_ascii=False).encode()


def decode(body: bytes, encodings: str = "", charset: str | None = None) -> bytes:
    return decode_body(body, encodings=encodings, charset=charset, limit=LIMIT)


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


WAYS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda body: body,
    "identity": lambda body: body,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    " GZIP ": gzip.compress,
    "deflate": zlib.compress,
    "gzip, deflate": lambda body: zlib.compress(gzip.compress(body)),
}


@pytest.mark.parametrize("encodings", WAYS)
def test_a_compressed_body_is_decompressed(encodings: str) -> None:
    assert decode(WAYS[encodings](BODY), encodings) == BODY


def test_deflate_without_its_header_is_read_too() -> None:
    assert decode(raw_deflate(BODY), "deflate") == BODY


def test_gzip_of_several_members_is_one_body() -> None:
    assert decode(gzip.compress(BODY[:5]) + gzip.compress(BODY[5:]), "gzip") == BODY


def test_gzip_has_a_limited_number_of_members() -> None:
    member = gzip.compress(b"")
    assert decode(MEMBERS_LIMIT * member, "gzip") == b""
    with pytest.raises(UnreadableBodyError, match="members"):
        decode((MEMBERS_LIMIT + 1) * member, "gzip")


@pytest.mark.parametrize("encodings", ["gzip", "deflate"])
def test_a_body_falsely_marked_as_compressed_is_taken_as_it_is(encodings: str) -> None:
    assert decode(BODY, encodings) == BODY
    assert decode(b"", encodings) == b""


@pytest.mark.edge
@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, raw_deflate])
def test_a_decompressed_body_has_a_limit(compress: Callable[[bytes], bytes]) -> None:
    encodings = "gzip" if compress is gzip.compress else "deflate"
    assert decode(compress(bytes(LIMIT)), encodings) == bytes(LIMIT)
    with pytest.raises(UnreadableBodyError, match="longer than"):
        decode(compress(bytes(LIMIT + 1)), encodings)
    with pytest.raises(UnreadableBodyError, match="longer than"):
        decode(compress(bytes(1000 * LIMIT)), encodings)


@pytest.mark.parametrize(
    "encodings", ["br", "zstd", "compress", "x" * 1000, ", ".join(["gzip"] * (ENCODINGS_LIMIT + 1))]
)
def test_an_unknown_encoding_is_refused(encodings: str) -> None:
    with pytest.raises(UnreadableBodyError, match=r"has an unknown compression|is compressed"):
        decode(BODY, encodings)


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
)
def test_a_byte_order_mark_says_how_a_body_is_written(encoding: str) -> None:
    mark = "" if encoding in {"utf-8-sig", "utf-16", "utf-32"} else "\N{BOM}"
    assert decode((mark + BODY.decode()).encode(encoding)) == BODY


@pytest.mark.parametrize("charset", ["gbk", "GB2312", "gb18030", "big5"])
def test_a_body_in_another_charset_is_read_by_it(charset: str) -> None:
    text = '{"error_msg": "成功"}'
    assert decode(text.encode(charset), charset=charset) == text.encode()
    assert decode(text.encode(), charset=charset) == text.encode()  # a wrong label


@given(
    st.binary()
    | st.binary().map(gzip.compress)
    | st.binary().map(zlib.compress)
    | st.binary().map(b"\xff\xfe".__add__),
    st.sampled_from([*WAYS, "br", "gzip, gzip"]),
    st.none() | st.text() | st.sampled_from(["gbk", "utf-16", "punycode", "idna", "rot13", "unicode_escape", "zlib"]),
)
def test_any_body_is_decoded_within_the_limit_or_refused(body: bytes, encodings: str, charset: str | None) -> None:
    try:
        decoded = decode(body, encodings, charset)
    except UnreadableBodyError:
        return
    assert len(decoded) <= max(LIMIT, 3 * len(body))
