"""The two that are set against each other, behind one face: answer an offer, then give the frames as they come."""

import asyncio
import os
import socket
import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any, Final, Protocol

import av
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from streamer.media.fanout import Fanout
from streamer.media.history import History
from streamer.media.playback.pixels import Conversion
from streamer.media.playback.video import VideoOutput
from streamer.media.playback.video_frames import EVERY_LIMIT, FrameIterator, Policy
from streamer.media.rtp.driver import ReceiverDriver
from streamer.media.rtp.receiver import Receiver
from streamer.rtc.ice import parse_ice_servers
from streamer.rtc.peer import Peer
from streamer.rtc.udp import RECEIVE_BUFFER
from streamer.tracks import Track
from tests.support.evidence import luma


class Rival(Protocol):
    """One WebRTC connection that answers and receives video."""

    async def answer(self, offer: str) -> str:
        """Return the answer to an offer."""

    def decoded_frames(self, policy: Policy = ...) -> AsyncIterator[av.VideoFrame]:
        """Give the decoded frames until the connection ends."""

    async def aclose(self) -> None:
        """End the connection."""


class Streamer:
    """This package without cloud and signaling: its peer and its media path, wired as a session wires them."""

    def __init__(self, ice_servers: Iterable[dict[str, Any]] = ()) -> None:
        self.fanout = Fanout()
        self._history = History(ask_keyframe=lambda: None)
        self.decoded = VideoOutput(
            "bench", self._history, request_keyframe=self._request_keyframe, audio_port=lambda: None
        )
        self._drivers: list[ReceiverDriver] = []
        self._ending: asyncio.Task[None] | None = None
        self.peer = Peer(
            ice_servers=parse_ice_servers(list(ice_servers))[0],
            loopback=[],
            make_input=self._make_driver,
            on_candidate=lambda *_: None,
        )

    async def answer(self, offer: str) -> str:
        """Return the answer to an offer."""
        return await self.peer.answer(offer)

    def frames(self, policy: Policy = "latest", conversion: Conversion | None = None) -> FrameIterator:
        """Return an iterator of the newest frame each time, or of every one, until the connection ends."""
        self.fanout.add(self._history)
        self.fanout.add(self.decoded)
        self._ending = asyncio.create_task(self._end())
        return self.decoded.hub.iterate(policy, max_fps=None, limit=EVERY_LIMIT, conversion=conversion)

    async def decoded_frames(self, policy: Policy = "latest") -> AsyncIterator[av.VideoFrame]:
        """Give the newest frame each time, or every one, until the connection ends."""
        async for frame in self.frames(policy):
            yield frame.av_frame

    async def aclose(self) -> None:
        """End the connection."""
        if self._ending is not None:
            self._ending.cancel()
        await self.decoded.aclose()
        await self.peer.aclose()
        for driver in self._drivers:
            driver.close()

    async def _end(self) -> None:
        await self.peer.ended.wait()
        self.decoded.hub.end(None)

    def _make_driver(self, tracks: list[Track]) -> ReceiverDriver:
        self._drivers.append(ReceiverDriver(Receiver(tracks, own_ssrc=1, cname="bench"), self.fanout))
        return self._drivers[-1]

    def _request_keyframe(self) -> None:
        for driver in self._drivers:
            driver.request_keyframe()


class Aiortc:
    """aiortc as it comes: `track.recv()`."""

    def __init__(self, ice_servers: Iterable[dict[str, Any]] = ()) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration([RTCIceServer(**server) for server in ice_servers]))
        self.tracks: list[Any] = []
        self.connection.on("track", self.tracks.append)

    async def answer(self, offer: str) -> str:
        """Return the answer to an offer."""
        await self.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        self._enlarge_buffers()
        return str(self.connection.localDescription.sdp)

    async def decoded_frames(self, policy: Policy = "every") -> AsyncIterator[av.VideoFrame]:
        """Give every frame, until the connection ends: it knows nothing else."""
        del policy
        with suppress(MediaStreamError):
            while True:
                yield await self.tracks[0].recv()

    async def aclose(self) -> None:
        """End the connection."""
        await self.connection.close()

    def _enlarge_buffers(self) -> None:
        """Grant it the receive buffer that ours asks for: with Linux's own, a keyframe of 500 kB is lost in a burst."""
        for transceiver in self.connection.getTransceivers():
            ice_transport: Any = transceiver.receiver.transport.transport
            for protocol in ice_transport._connection._protocols:
                descriptor = os.dup(protocol.transport.get_extra_info("socket").fileno())
                with socket.socket(fileno=descriptor) as same:
                    same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


RIVALS: Final[dict[str, type[Streamer] | type[Aiortc]]] = {"streamer": Streamer, "aiortc": Aiortc}


def fingerprint(frame: av.VideoFrame) -> int:
    """Return a number that another frame hardly ever has."""
    return zlib.crc32(luma(frame).tobytes())
