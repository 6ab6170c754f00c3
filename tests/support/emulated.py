"""What the emulator sends, and what it wrote into the frames that arrive."""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

import streamer
from streamer import emulator
from tests.support.senders import nal_units
from tests.support.waiting import LIMIT_S


class Sent(NamedTuple):
    """A packet of the phone's encoder."""

    seconds: float
    digest: str


def digest(parts: list[bytes]) -> str:
    return hashlib.sha256(b"|".join(parts)).hexdigest()


def listen(phone: emulator.EmulatedPhone) -> dict[str, list[Sent]]:
    """Return lists that the phone's packets get into as they are sent."""
    sent: dict[str, list[Sent]] = {"video": [], "audio": []}

    def overhear(kind: str, packet: "av.Packet[Any]") -> None:
        assert packet.pts is not None
        assert packet.time_base is not None
        data = bytes(packet)
        sent[kind].append(
            Sent(float(packet.pts * packet.time_base), digest(nal_units(data) if kind == "video" else [data]))
        )

    phone.media.on_sent = overhear
    return sent


def barcodes(path: Path) -> Iterator[tuple[float, emulator.Barcode]]:
    """Return the time of each frame in the file, and what the phone wrote into it."""
    with av.open(path) as container:
        for frame in container.decode(video=0):
            barcode = emulator.read_barcode(np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8))
            assert barcode is not None
            assert frame.time is not None
            yield frame.time, barcode


def recorded_counters(path: Path) -> list[int]:
    """Return the number that the phone wrote into each frame of a file."""
    return [barcode.counter for _, barcode in barcodes(path)]


def counter(frame: streamer.VideoFrame) -> int:
    """Return the number that the phone wrote into a frame."""
    barcode = emulator.read_barcode(frame.to_ndarray("gray"))
    assert barcode is not None
    return barcode.counter


async def take(frames: streamer.FrameIterator, count: int) -> list[streamer.VideoFrame]:
    """Return the next frames, so many of them."""
    async with asyncio.timeout(LIMIT_S):
        return [await anext(frames) for _ in range(count)]
