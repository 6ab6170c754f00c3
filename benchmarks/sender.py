"""A WebRTC sender in a process of its own: plays a clip in real time through aiortc, like a phone would.

Speaks JSON lines: prints its offer, reads the answer, plays, and prints when it handed each picture to the packetiser.
"""

import asyncio
import fractions
import json
import sys
import time
from typing import Any

import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from benchmarks.clips import CLIPS, Clip, access_units


class ClipTrack(MediaStreamTrack):
    """The clip's access units, each at its time; `sent_ns` says when each went to the packetiser (monotonic)."""

    kind = "video"

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.sent_ns: list[int] = []
        self._clip = clip
        self._units = access_units(clip)
        self._start = 0.0
        self.ended = asyncio.Event()
        self.on("ended", self.ended.set)

    async def recv(self) -> "av.Packet[Any]":
        number = len(self.sent_ns)
        if number >= len(self._units):
            self.stop()
            raise MediaStreamError
        self._start = self._start or time.monotonic()
        await asyncio.sleep(self._start + number / self._clip.fps - time.monotonic())
        packet = av.Packet(self._units[number][1])
        packet.pts = packet.dts = number * 90_000 // self._clip.fps
        packet.time_base = fractions.Fraction(1, 90_000)
        self.sent_ns.append(time.monotonic_ns())
        return packet


async def main(clip: Clip) -> None:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    track = ClipTrack(clip)
    transceiver = connection.addTransceiver(track, direction="sendonly")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType in {"video/H264", "video/rtx"}])
    await connection.setLocalDescription(await connection.createOffer())
    print(json.dumps({"offer": connection.localDescription.sdp}), flush=True)
    loop = asyncio.get_running_loop()
    answer = json.loads(await loop.run_in_executor(None, sys.stdin.readline))["answer"]
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await track.ended.wait()
    await asyncio.sleep(0.5)  # what is on its way arrives
    print(json.dumps({"sent_ns": track.sent_ns}), flush=True)
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main(next(clip for clip in CLIPS if clip.name == sys.argv[1])))
