"""Decodes HTTP bodies as gateways send them: compressed without being asked, or not in UTF-8. With a size limit."""

import codecs
import zlib
from typing import Final

ENCODINGS_LIMIT: Final = 3  # one on top of another
MEMBERS_LIMIT: Final = 64  # gzip members of a body; the rest of it is copied for each

_GZIP_MAGIC: Final = b"\x1f\x8b"
_MARKS: Final = {  # byte-order marks, longest first: that of UTF-16 begins that of UTF-32
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# Python has codecs that take far longer than their text is long, such as that of Punycode: others are not asked.
_CHARSETS: Final = {"gb18030", "gbk", "gb2312", "big5", "iso8859-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be"}


class UnreadableBodyError(ValueError):
    """A body cannot be decoded; the message says why, after "the reply"."""


def decode_body(body: bytes, *, encodings: str, charset: str | None, limit: int) -> bytes:
    """Return a body in UTF-8, without compression and byte-order mark.

    `encodings` is the Content-Encoding header, `charset` that of the Content-Type, if it has one. A body that does not
    match them is returned unchanged.

    Raises UnreadableBodyError if the compression is unknown or broken, or the result is larger than `limit` bytes.
    """
    names = [name.strip().lower() for name in encodings.split(",") if name.strip()]
    if len(names) > ENCODINGS_LIMIT:
        raise UnreadableBodyError(f"is compressed {len(names)} times")
    for name in reversed(names):
        body = _decompress(body, name, limit)
    for mark, encoding in _MARKS.items():
        if body.startswith(mark):
            return _in_utf8(body[len(mark) :], encoding)
    return body if charset is None or _is_utf8(body) else _in_utf8(body, charset)


def _decompress(body: bytes, name: str, limit: int) -> bytes:
    match name:
        case "identity":
            return body
        case "gzip" | "x-gzip":
            window_bits = zlib.MAX_WBITS | 16 if body.startswith(_GZIP_MAGIC) else None
        case "deflate":  # RFC 9110 means zlib's format; some servers send what is inside it
            is_zlib = len(body) >= 2 and body[0] & 15 == 8 and int.from_bytes(body[:2]) % 31 == 0
            window_bits = zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
            if body.lstrip()[:1] in {b"{", b"["}:
                window_bits = None
        case _:
            raise UnreadableBodyError("has an unknown compression")
    return body if not body or window_bits is None else _inflate(body, window_bits, limit)


def _inflate(body: bytes, window_bits: int, limit: int) -> bytes:
    inflated = bytearray()
    for _ in range(MEMBERS_LIMIT):
        decompressor = zlib.decompressobj(window_bits)
        try:
            inflated += decompressor.decompress(body, limit + 1 - len(inflated))
        except zlib.error as error:
            raise UnreadableBodyError("has corrupt compressed data") from error
        if len(inflated) > limit:
            raise UnreadableBodyError(f"is longer than {limit} bytes when it is decompressed")
        if not decompressor.eof:
            raise UnreadableBodyError("ends in the middle of its compressed data")
        body = decompressor.unused_data
        if not body.startswith(_GZIP_MAGIC):
            return bytes(inflated)
    raise UnreadableBodyError(f"has more than {MEMBERS_LIMIT} gzip members")


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _in_utf8(body: bytes, charset: str) -> bytes:
    try:
        name = codecs.lookup(charset).name
        return body.decode(name).encode() if name in {*_CHARSETS, *_MARKS.values()} else body
    except (LookupError, ValueError):
        return body
