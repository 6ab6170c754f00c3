"""The emulator's WebRTC side: one peer connection a client, and the phone is the offerer."""

import asyncio
import ipaddress
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.sdp import candidate_from_sdp

from streamer.emulator import packing
from streamer.emulator.faults import Faults
from streamer.emulator.input_frames import Input, read_input
from streamer.emulator.media import PhoneMedia
from streamer.emulator.network import Path
from streamer.library_hooks import check_hooks, shadow
from streamer.protocol_constants import INPUT_CHANNEL_LABEL
from streamer.untrusted_text import UntrustedText

_logger = logging.getLogger("streamer.emulator.rtc")

ANSWER_LIMIT: Final = 64 * 1024  # characters; a longer answer is passed over
CANDIDATES_LIMIT: Final = 100  # of the client's; further ones are passed over
_UNIX_TO_NTP_S: Final = 2_208_988_800  # from 1900 to 1970
_ANY_ADDRESS: Final = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


class PhonePeer:
    """Streams to one client. `on_input` gets the client's parsed input frames.

    With `announce_input` the phone opens the data channel `input`, as `faults` have it; it reads the client's, too.

    `host` is the one address that is offered, so that a phone on loopback works without any network; an address that
    stands for all offers what the machine has. `path` is the network, as `faults` have it.
    """

    def __init__(
        self,
        media: PhoneMedia,
        *,
        faults: Faults,
        host: str,
        announce_input: bool,
        on_input: Callable[[Input], None],
    ) -> None:
        check_hooks("emulator")
        self.connected = asyncio.Event()
        self.path = Path(faults)
        self._host = host
        self._on_input = on_input
        self._faults = faults
        self._announce_timer: asyncio.TimerHandle | None = None
        self._inputs: list[RTCDataChannel] = []  # those that the phone reads; it speaks on the first
        self.input_at = time.monotonic()  # when the client's last input came
        self._early_candidates: list[dict[str, Any]] = []
        self._candidates = 0
        self._has_answer = False
        self._closing: asyncio.Future[None] | None = None
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._connection.on("connectionstatechange", self._on_state)
        self._connection.on("datachannel", self._on_channel)
        video = self._connection.addTransceiver(media.join("video"), direction="sendonly")
        self._report_capture(video.sender)
        codecs = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences([codec for codec in codecs if codec.mimeType in {"video/H264", "video/rtx"}])
        # aiortc encodes only raw frames by itself; ours come encoded, so the request goes to who encodes them.
        shadow(video.sender, "_send_keyframe", media.request_keyframe)
        if media.has_audio:
            self._report_capture(self._connection.addTransceiver(media.join("audio"), direction="sendonly").sender)
        self._take_over(video.sender)
        packing.take_over(video.sender, faults)
        self._announces_later = announce_input and faults.announce_input_after_s > 0
        if announce_input and not self._announces_later:
            self._announce_input()
        else:  # any channel gives the offer its section for data
            self._connection.createDataChannel("status")
        self._only_while_open(video.sender.transport.transport, "start")
        self._only_while_open(self._connection.sctp, "start")
        for transceiver in self._connection.getTransceivers():
            self._only_while_open(transceiver.sender, "send")

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closing is not None

    async def offer(self) -> str:
        """Return an offer: the first, or a later one."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        for protocol in self._protocols():
            self.path.in_front_of(protocol)
        return str(self._connection.localDescription.sdp)

    def candidates(self) -> list[dict[str, Any]]:
        """Return the phone's candidates, as the payloads of `candidate` messages."""
        lines = self._connection.localDescription.sdp.splitlines()
        return [
            {"label": 0, "id": "0", "candidate": line.removeprefix("a=")}
            for line in lines
            if line.startswith("a=candidate:")
        ]

    async def take_answer(self, sdp: str) -> None:
        """Take the client's answer. One that cannot be used, or that no offer asked for, is passed over."""
        if self._connection.signalingState != "have-local-offer" or len(sdp) > ANSWER_LIMIT:
            return
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        except Exception as error:  # noqa: BLE001 - aiortc's parser checks little, and stumbles in many ways
            _logger.debug("< an answer that cannot be used: %s: %s", type(error).__name__, UntrustedText(error))
            return
        self._has_answer = True
        early, self._early_candidates = self._early_candidates, []
        for payload in early:
            await self.take_candidate(payload)

    async def take_candidate(self, payload: dict[str, Any]) -> None:
        """Take a candidate of the client's, before or after its answer."""
        if self._connection.signalingState != "stable" or not self._has_answer:
            if len(self._early_candidates) < CANDIDATES_LIMIT:
                self._early_candidates.append(payload)
            return
        self._candidates += 1
        if self._candidates > CANDIDATES_LIMIT:
            return
        text = str(payload.get("candidate") or "").removeprefix("candidate:")
        try:
            candidate = candidate_from_sdp(text)
            ipaddress.ip_address(candidate.ip)  # a name would have to be resolved
        except (ValueError, AssertionError, IndexError):
            return
        candidate.sdpMid, candidate.sdpMLineIndex = str(payload.get("id")), payload.get("label")
        await self._connection.addIceCandidate(candidate)

    async def close(self) -> None:
        """End the stream to this client. Cancelled, it goes on by itself: aiortc cannot close a second time."""
        if self._announce_timer is not None:
            self._announce_timer.cancel()
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._connection.close())
        await asyncio.shield(self._closing)

    def send_input_frame(self, frame: bytes) -> None:
        """Send a frame of the phone's own on the data channel `input`, if one is open."""
        channel = next((channel for channel in self._inputs if channel.readyState == "open"), None)
        if channel is not None:
            channel.send(frame)

    def _protocols(self) -> list[Any]:
        transport: Any = self._connection.getSenders()[0].transport.transport
        return list(transport._connection._protocols)

    def _take_over(self, sender: RTCRtpSender) -> None:
        """Mend two things in this one ICE connection (aioice 0.13)."""
        connection: Any = sender.transport.transport._connection
        query_consent = connection.query_consent

        async def query_consent_while_open() -> None:  # it would go on for ever, closed just as it comes up
            if not connection._closing:
                await query_consent()

        async def gather_on_host() -> None:  # it leaves loopback out
            if not connection._local_candidates_start:
                connection._local_candidates_start = True
                found = await connection.get_component_candidates(component=1, addresses=[self._host])
                connection._local_candidates += found
                connection._local_candidates_end = True

        shadow(connection, "query_consent", query_consent_while_open)
        if self._host not in _ANY_ADDRESS:
            shadow(connection, "gather_candidates", gather_on_host)

    def _report_capture(self, sender: RTCRtpSender) -> None:
        """Let this sender's reports say when a packet's frame or audio was made.

        aiortc's (1.16) say when it was sent: too late, and for frames later than for audio, which is encoded sooner.
        """
        track: Any = sender.track
        receive = track.recv

        async def receive_after_noting() -> Any:  # it is asked for the next packet once the last one is sent
            if (made_at := track.made_at) is not None:
                wall_s = time.time() - (time.monotonic() - made_at)
                vars(sender)["_RTCRtpSender__ntp_timestamp"] = int((wall_s + _UNIX_TO_NTP_S) * (1 << 32))
            return await receive()

        shadow(track, "recv", receive_after_noting)

    def _only_while_open(self, target: object, method: str) -> None:
        """Make nothing of a call that comes after `close`: closed while it comes up, aiortc 1.16 goes on starting."""
        call = getattr(target, method)

        async def call_while_open(*arguments: Any) -> None:
            if self._connection.signalingState != "closed":
                await call(*arguments)

        shadow(target, method, call_while_open)

    def _on_state(self) -> None:
        _logger.debug("= connection %s", self._connection.connectionState)
        if self._connection.connectionState == "connected":
            self.connected.set()
            if self._announces_later and self._announce_timer is None:
                after_s = self._faults.announce_input_after_s
                self._announce_timer = asyncio.get_running_loop().call_later(after_s, self._announce_input)

    def _announce_input(self) -> None:
        self._read(self._connection.createDataChannel(INPUT_CHANNEL_LABEL, ordered=False, maxRetransmits=0))

    def _on_channel(self, channel: RTCDataChannel) -> None:
        if channel.label == INPUT_CHANNEL_LABEL and not self._faults.ignore_client_input:
            self._read(channel)

    def _read(self, channel: RTCDataChannel) -> None:
        self._inputs.append(channel)
        channel.on("message", self._on_message)

    def _on_message(self, message: str | bytes) -> None:
        self.input_at = time.monotonic()
        if isinstance(message, bytes):
            for read in read_input(message):
                self._on_input(read)
