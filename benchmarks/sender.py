"""A WebRTC sender in a process of its own: plays a clip in real time through aiortc, like a phone would.

argv: options of `play`, `play_to_many` or `live` as JSON. It prints its offers, reads the answers, plays, and prints
what it sent and when.
"""

import asyncio
import fractions
import json
import re
import struct
import sys
import time
from typing import Any, Final

import aiortc.rtcrtpsender
import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.codecs.h264 import H264Encoder

from benchmarks.clips import Clip, access_units, clip_named
from benchmarks.rivals import fingerprint
from streamer.emulator.media import PhoneMedia
from tests.support.evidence import read_counter
from tests.support.processes import listen, say

HISTORY: Final = 4096  # packets kept for retransmission: more than a keyframe, as Chromium keeps; aiortc keeps 128

BURST: Final = 32  # packets sent at once; a keyframe comes spread over some milliseconds
SETTLE_S: Final = 0.5  # from the sender's end of the handshake to the first frame: the receiver is ready by then


class ClipTrack(MediaStreamTrack):
    """The clip's access units, each at its time; `sent_ns` says when each went to the packetiser (monotonic)."""

    kind = "video"

    def __init__(self, clip: Clip, *, frames: int) -> None:
        super().__init__()
        self.sent_ns: list[int] = []
        self.ended = asyncio.Event()
        self._clip = clip
        self._frames = frames
        self._units = access_units(clip)
        self._start = 0.0
        self.on("ended", self.ended.set)

    async def recv(self) -> "av.Packet[Any]":
        number = len(self.sent_ns)
        if number >= self._frames:
            self.ended.set()
            await asyncio.Event().wait()  # the screen is still; the connection stays
        self._start = self._start or time.monotonic() + SETTLE_S
        await asyncio.sleep(self._start + number / self._clip.fps - time.monotonic())
        packet = av.Packet(self._units[number % len(self._units)][1])
        packet.pts = packet.dts = number * 90_000 // self._clip.fps
        packet.time_base = fractions.Fraction(1, 90_000)
        self.sent_ns.append(time.monotonic_ns())
        return packet


class StillTrack(MediaStreamTrack):
    """A track whose frames somebody else sends."""

    kind = "video"

    async def recv(self) -> Any:
        return await asyncio.get_running_loop().create_future()


class Sender:
    """One connection; `last_packet_ns` is when the last RTP packet had been sent."""

    def __init__(self, track: MediaStreamTrack) -> None:
        self.last_packet_ns = 0
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        transceiver = self.connection.addTransceiver(track, direction="sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType in {"video/H264", "video/rtx"}])
        self.sender: Any = transceiver.sender
        transport: Any = transceiver.sender.transport
        send = transport._send_rtp

        async def send_rtp(data: bytes) -> None:
            await send(data)
            if not 192 <= data[1] <= 223:  # RTCP goes the same way
                self.last_packet_ns = time.monotonic_ns()

        transport._send_rtp = send_rtp

    async def connect(self) -> None:
        """Offer and take the answer."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        say({"offer": self.connection.localDescription.sdp})
        if (message := await listen()) is None:
            sys.exit()  # only the offer was wanted
        await self.connection.setRemoteDescription(RTCSessionDescription(message["answer"], "answer"))

    async def play(self, payloads: list[list[bytes]], *, fps: int, frames: int, delay_s: float) -> list[float]:
        """Send frames until the receiver goes, without aiortc's packetiser; return how late each was, in seconds."""
        connected = asyncio.Event()
        self.connection.on("connectionstatechange", connected.set)
        while self.connection.connectionState != "connected":
            connected.clear()
            await connected.wait()
        transport: Any = self.sender.transport
        pair = transport.transport._connection._nominated[1]
        second = int(re.search(r"a=rtpmap:(\d+) H264", self.connection.localDescription.sdp)[1])  # type: ignore[index]
        start = time.monotonic() + delay_s
        sequence_number = 0
        late = []
        for number in range(frames):
            await asyncio.sleep(start + number / fps - time.monotonic())
            late.append(time.monotonic() - start - number / fps)
            frame = payloads[number % len(payloads)]
            for index, payload in enumerate(frame):
                if index % BURST == BURST - 1:
                    await asyncio.sleep(0.001)
                marker = 0x80 if index == len(frame) - 1 else 0
                header = struct.pack("!BBHII", 0x80, marker | second, sequence_number, number * 90_000 // fps, 1)
                sequence_number = sequence_number + 1 & 0xFFFF
                if pair.protocol.transport is None or pair.protocol.transport.is_closing():
                    return late
                pair.protocol.transport.sendto(transport._tx_srtp.protect(header + payload), pair.remote_addr)
        return late


async def play(clip: str, *, frames: int | None = None, linger_s: float = 0.5) -> dict[str, Any]:
    """Play a clip, again and again up to so many frames; then stay for a while."""
    made = clip_named(clip)
    track = ClipTrack(made, frames=frames or len(access_units(made)))
    sender = Sender(track)
    await sender.connect()
    await track.ended.wait()
    await asyncio.sleep(linger_s)
    await sender.connection.close()
    return {"sent_ns": track.sent_ns, "last_packet_ns": sender.last_packet_ns}


async def play_to_many(clip: str, *, connections: int, frames: int) -> dict[str, Any]:
    """Play a clip on many connections, at a sixth of what aiortc's own sender takes for a packet."""
    made = clip_named(clip)
    payloads = [packetized(data) for _, data in access_units(made)]
    senders = [Sender(StillTrack()) for _ in range(connections)]
    playing = []
    for index, sender in enumerate(senders):
        await sender.connect()
        delay_s = SETTLE_S + index / connections / made.fps  # nobody's frames come all at once
        playing.append(asyncio.create_task(sender.play(payloads, fps=made.fps, frames=frames, delay_s=delay_s)))
    late_s = sorted(late for delays in await asyncio.gather(*playing) for late in delays)
    await asyncio.gather(*(sender.connection.close() for sender in senders))
    return {"late_s": late_s[len(late_s) * 95 // 100]}


def packetized(data: bytes) -> list[bytes]:
    """Return the RTP payloads of an access unit."""
    packet = av.Packet(data)
    packet.pts, packet.time_base = 0, fractions.Fraction(1, 90_000)
    return H264Encoder().pack(packet)[0]


async def live(seconds: float, *, fps: int = 30) -> dict[str, Any]:
    """Send the emulator's screen, which answers requests for keyframes; say what each frame decodes to."""
    media = PhoneMedia(width=720, height=1280, fps=fps, bitrate_bps=3_000_000, audio=False)
    track = media.join("video")
    units: list[tuple[int, bytes]] = []  # when each went to the packetiser
    begun = asyncio.Event()
    receive = track.recv

    async def recv() -> Any:
        packet = await receive()
        units.append((time.monotonic_ns(), bytes(packet)))
        begun.set()
        return packet

    vars(track)["recv"] = recv
    sender = Sender(track)
    vars(sender.sender)["_send_keyframe"] = media.request_keyframe
    await sender.connect()
    await begun.wait()
    await asyncio.sleep(seconds)
    await media.close()
    await asyncio.sleep(1)
    await sender.connection.close()
    return {"frames": _decoded(units), "keyframe_requests": media.keyframe_requests}


def _decoded(units: list[tuple[int, bytes]]) -> list[tuple[int | None, int, int]]:
    """Return (number, when it was sent, fingerprint) of each frame."""
    decoder = av.VideoCodecContext.create("h264", "r")
    return [
        (read_counter(frame), sent_ns, fingerprint(frame))
        for sent_ns, data in units
        for frame in decoder.decode(av.Packet(data))
    ]


if __name__ == "__main__":
    vars(aiortc.rtcrtpsender)["RTP_HISTORY_SIZE"] = HISTORY
    options = json.loads(sys.argv[1])
    act: Any = live if "seconds" in options else play_to_many if "connections" in options else play
    say(asyncio.run(act(**options)))
