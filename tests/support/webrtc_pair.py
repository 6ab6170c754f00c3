"""A plain aiortc sender, and our peer that answers it."""

import asyncio
from collections.abc import Sequence
from typing import Any, Self

from aiortc import (
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from streamer.rtc.ice import IceServer
from streamer.rtc.peer import Peer
from streamer.tracks import Track

LIMIT_S = 60.0  # a busy machine takes its time


class Input:
    """Takes what arrives, and counts it."""

    def __init__(self, tracks: list[Track]) -> None:
        self.tracks = tracks
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.refused: list[bool] = []
        self.arrived = asyncio.Event()
        self.round_trips: asyncio.Queue[int] = asyncio.Queue()

    def open(self, send_rtcp: Any) -> None:
        self.send_rtcp = send_rtcp

    def set_tracks(self, tracks: list[Track]) -> None:
        self.tracks = tracks

    def on_rtp(self, packets: list[bytes], arrival_ns: int) -> None:
        self.rtp += [packet[:12] for packet in packets]
        if {data[1] & 0x7F for data in self.rtp} >= {96, 97} or len(self.rtp) > 20:
            self.arrived.set()

    def on_rtcp(self, packet: bytes, arrival_ns: int) -> None:
        self.rtcp.append(packet)

    def on_refused(self, *, is_duplicate: bool) -> None:
        self.refused.append(is_duplicate)

    def on_round_trip(self, round_trip_ns: int) -> None:
        self.round_trips.put_nowait(round_trip_ns)


class Pair:
    """A plain aiortc sender, and our peer that answers it."""

    def __init__(
        self, *, audio: bool = True, servers: list[IceServer] | None = None, loopback: Sequence[str] = ()
    ) -> None:
        self.sender = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.sender.addTrack(VideoStreamTrack())
        if audio:
            self.sender.addTrack(AudioStreamTrack())
        self.inputs: list[Input] = []
        self.answer: str | None = None
        self.candidates: asyncio.Queue[tuple[str, str, int]] = asyncio.Queue()
        self.input_opened = asyncio.Event()
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.problems: asyncio.Queue[str] = asyncio.Queue()
        self.peer = Peer(
            ice_servers=servers or [],
            loopback=loopback,
            make_input=self._make_input,
            on_candidate=lambda *candidate: self.candidates.put_nowait(candidate),
            on_input=lambda: self.input_opened.set() if self.peer.has_input else self.input_opened.clear(),
            on_message=self.messages.put_nowait,
            on_problem=self.problems.put_nowait,
        )

    def _make_input(self, tracks: list[Track]) -> Input:
        self.inputs.append(Input(tracks))
        return self.inputs[-1]

    async def offer(self) -> str:
        await self.sender.setLocalDescription(await self.sender.createOffer())
        return str(self.sender.localDescription.sdp)

    async def connect(self, offer: str | None = None) -> None:
        self.answer = await self.peer.answer(offer or await self.offer())
        await self.sender.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))
        async with asyncio.timeout(LIMIT_S):
            await self.peer.connected.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.peer.aclose()
        await self.sender.close()
