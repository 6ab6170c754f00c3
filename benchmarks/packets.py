"""`python -m benchmarks.packets`: what the packets of a frame cost, stage by stage, hot, cold and after a pause.

Hot is a tight loop, as profilers see it. Cold: a frame is decoded in between, and its megabytes have taken the place
of everything else in the caches. Paused: the process has slept besides until the next frame was due, and whatever
else the machine does has had its caches and its clock.
"""

import socket
import statistics
import struct
import time
from collections.abc import Callable
from typing import Final, TypeVar

import av
import typer
from pylibsrtp import Policy, Session

from benchmarks.clips import CLIPS, Clip, access_units
from benchmarks.report import Grid, console, print_grid
from benchmarks.sender import packetized
from streamer.media.rtp.receiver import Receiver
from streamer.rtc._aiortc.srtp import decrypter
from streamer.tracks import Codec, Track

FRAMES: Final = 300
STAGES: Final = ("reading the socket", "decrypting", "ordering and joining")
_TRACK: Final = Track(
    kind="video",
    mid="0",
    codecs={96: Codec(name="h264", clock_rate=90_000)},
    feedback=frozenset({"nack", "nack pli", "transport-cc"}),
    transport_cc_id=2,
    reduced_size_rtcp=True,
)
_PROFILE: Final = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
_KEY: Final = bytes(range(28))

T = TypeVar("T")


def main() -> None:
    """Measure both clips, hot, cold and paused."""
    for clip in CLIPS:
        units = [data for _, data in access_units(clip)[:FRAMES]]
        costs = {name: _measure(clip, units, how=name) for name in ("hot", "cold", "paused")}
        packets = statistics.median(len(packetized(data)) for data in units)
        rows = [(stage, *(f"{costs[name][stage]:.0f}" for name in costs)) for stage in STAGES]
        rows.append(("together", *(f"{sum(found.values()):.0f}" for found in costs.values())))
        print_grid(Grid(f"{clip.name}: CPU µs a frame of {packets:.0f} packets, medians", ("", *costs), rows))
    console.print("frames come 300 in a row; wake-ups, the decoder and the consumer are not in these figures")


def _measure(clip: Clip, units: list[bytes], *, how: str) -> dict[str, float]:
    """Return the median of each stage's CPU time for a frame, in µs."""
    outbound = Session(Policy(key=_KEY, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=_PROFILE))
    unprotect = decrypter(
        Session(Policy(key=_KEY, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=_PROFILE)), lambda *_: None
    )
    receiver = Receiver([_TRACK], own_ssrc=1, cname="bench")
    decoder = av.CodecContext.create("h264", "r")
    costs: dict[str, list[float]] = {stage: [] for stage in STAGES}
    sequence_number = 0
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taking,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending,
    ):
        taking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * 1024 * 1024)
        taking.bind(("127.0.0.1", 0))
        for number, data in enumerate(units):
            payloads = packetized(data)
            for position, payload in enumerate(payloads, start=1):
                packet = _rtp(payload, sequence_number, number * 90_000 // clip.fps, marker=position == len(payloads))
                sending.sendto(outbound.protect(packet), taking.getsockname())
                sequence_number += 1
            if how == "paused":
                time.sleep(1 / clip.fps)
            if how != "hot":
                decoder.decode(av.Packet(data))
            count = len(payloads)
            datagrams = _timed(costs[STAGES[0]], lambda: [taking.recvfrom(65536)[0] for _ in range(count)])  # noqa: B023
            packets = _timed(costs[STAGES[1]], lambda: [unprotect(datagram) or b"" for datagram in datagrams])  # noqa: B023
            now_ns = number * 1_000_000_000 // clip.fps
            units_out = _timed(costs[STAGES[2]], lambda: _received(receiver, packets, now_ns))  # noqa: B023
            if units_out != 1 + (number == 1) - (number == 0):  # the first waits for the packet that follows it
                raise SystemExit(f"frame {number} came out as {units_out}")
    return {stage: statistics.median(found) for stage, found in costs.items()}


def _received(receiver: Receiver, packets: list[bytes], now_ns: int) -> int:
    """Return how many access units the packets gave."""
    count = len(receiver.receive(packets, now_ns))
    if receiver.deadline_ns is not None and receiver.deadline_ns <= now_ns:
        receiver.poll(now_ns)
        receiver.take_rtcp()
    return count


def _timed(costs: list[float], work: Callable[[], T]) -> T:
    begun_ns = time.thread_time_ns()
    result = work()
    costs.append((time.thread_time_ns() - begun_ns) / 1000)
    return result


def _rtp(payload: bytes, sequence_number: int, rtp_time: int, *, marker: bool) -> bytes:
    """Return a packet as libwebrtc would make it: with its transport-wide sequence number."""
    number = sequence_number & 0xFFFF
    head = struct.pack("!BBHII", 0x90, marker << 7 | 96, number, rtp_time & 0xFFFFFFFF, 1)
    return head + struct.pack("!HHBHx", 0xBEDE, 1, 0x21, number) + payload


if __name__ == "__main__":
    typer.run(main)
