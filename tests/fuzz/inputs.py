"""How an input becomes what a target wants: texts are cut at 0x1E, packets have their length before them."""

import asyncio
import atexit
import functools
from collections.abc import Coroutine, Iterator
from typing import Any, Final

SEPARATOR: Final = b"\x1e"
SECRET: Final = "a-secret-of-the-fuzzer"  # what no error may show, though the other side may say it
VIDEO_CODECS: Final = ("h264", "h265", "vp8", "vp9", "av1")


def texts(data: bytes) -> list[str]:
    return data.decode(errors="replace").split(SEPARATOR.decode())


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each packet with the byte before it; then comes its length, of two bytes."""
    position = 0
    while position + 3 <= len(data):
        length = int.from_bytes(data[position + 1 : position + 3])
        yield data[position], data[position + 3 : position + 3 + length]
        position += 3 + length


def rtp_packet(second: int, sequence_number: int, rtp_time: int, payload: bytes, extended: bool = False) -> bytes:
    head = bytes((0x90 if extended else 0x80, second)) + (sequence_number & 0xFFFF).to_bytes(2)
    head += (rtp_time & 0xFFFFFFFF).to_bytes(4) + (0x1234).to_bytes(4)
    return head + (b"\xbe\xde\x00\x01\x31" + payload[:3] if extended and len(payload) > 2 else b"") + payload


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine, then cancel what it left, as `asyncio.run` does, which takes longer to make a loop."""
    loop = _loop()
    try:
        loop.run_until_complete(coroutine)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop
