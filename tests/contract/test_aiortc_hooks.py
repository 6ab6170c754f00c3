"""Each private name that `streamer.rtc._aiortc` relies on, against the installed libraries."""

import asyncio
import inspect
from typing import Any, Self

import pytest
from aiortc import RTCCertificate, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from cryptography.hazmat.primitives.asymmetric import rsa

from streamer.errors import ConnectionFailedError, IncompatibleLibraryError
from streamer.rtc import _aiortc
from streamer.rtc.ice import IceServer, parse_ice_servers, usable_candidate
from streamer.rtc.peer import Peer
from streamer.tracks import Track

LIMIT_S = 20.0


class Input:
    """Takes what arrives, and counts it."""

    def __init__(self, tracks: list[Track]) -> None:
        self.tracks = tracks
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.arrived = asyncio.Event()

    def open(self, send_rtcp: Any) -> None:
        self.send_rtcp = send_rtcp

    def set_tracks(self, tracks: list[Track]) -> None:
        self.tracks = tracks

    def on_rtp(self, packet: bytes, arrival_ns: int) -> None:
        self.rtp.append(packet[:12])
        if {data[1] & 0x7F for data in self.rtp} >= {96, 97} or len(self.rtp) > 20:
            self.arrived.set()

    def on_rtcp(self, packet: bytes, arrival_ns: int) -> None:
        self.rtcp.append(packet)


class Pair:
    """A plain aiortc sender, and our peer that answers it."""

    def __init__(self, *, audio: bool = True, servers: list[IceServer] | None = None, loopback: bool = False) -> None:
        self.sender = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.sender.addTrack(VideoStreamTrack())
        if audio:
            self.sender.addTrack(AudioStreamTrack())
        self.inputs: list[Input] = []
        self.peer = Peer(
            ice_servers=servers or [],
            loopback=loopback,
            make_input=self._make_input,
            on_candidate=lambda *_: None,
            input_opened=asyncio.Event(),
        )

    def _make_input(self, tracks: list[Track]) -> Input:
        self.inputs.append(Input(tracks))
        return self.inputs[-1]

    async def offer(self) -> str:
        await self.sender.setLocalDescription(await self.sender.createOffer())
        return str(self.sender.localDescription.sdp)

    async def connect(self, offer: str | None = None) -> None:
        answer = await self.peer.answer(offer or await self.offer())
        await self.sender.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        async with asyncio.timeout(LIMIT_S):
            await self.peer.connected.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.peer.aclose()
        await self.sender.close()


@pytest.mark.parametrize("hook", _aiortc.HOOKS, ids=lambda hook: hook.name)
def test_a_hook_is_where_and_as_it_is_expected(hook: _aiortc.Hook) -> None:
    module, _, path = hook.name.partition(":")
    found = inspect.importlib.import_module(module)  # type: ignore[attr-defined]
    for name in path.split("."):
        found = getattr(found, name)
    assert " ".join(inspect.signature(found).parameters) == hook.parameters
    assert hook.why


def test_a_library_that_has_changed_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = _aiortc.Hook("aioice.ice:Connection.vanished", "self", "a test", "aioice 9")
    monkeypatch.setattr(_aiortc, "HOOKS", (gone,))
    _aiortc.check_hooks.cache_clear()
    try:
        with pytest.raises(IncompatibleLibraryError, match=r"aioice\.ice:Connection\.vanished.*pip install"):
            _aiortc.check_hooks()
    finally:
        _aiortc.check_hooks.cache_clear()


async def test_packets_arrive_decrypted_and_aiortc_decodes_nothing() -> None:
    import threading  # noqa: PLC0415

    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()
        (media,) = pair.inputs
        await media.arrived.wait()
        assert {packet[0] >> 6 for packet in media.rtp} == {2}
        assert not [thread.name for thread in threading.enumerate() if thread.name.endswith("-decoder")]
        assert [track.kind for track in media.tracks] == ["video", "audio"]


async def test_the_sender_hears_our_rtcp() -> None:
    from streamer.media.rtcp import picture_loss_indication  # noqa: PLC0415

    async with Pair(audio=False) as pair, asyncio.timeout(LIMIT_S):
        (sender,) = pair.sender.getSenders()
        asked = asyncio.Event()
        vars(sender)["_send_keyframe"] = asked.set
        await pair.connect()
        (media,) = pair.inputs
        media.send_rtcp(picture_loss_indication(1, sender._ssrc))
        await asked.wait()


async def test_a_peer_with_an_rsa_certificate_connects() -> None:
    from aiortc.rtcdtlstransport import generate_certificate  # noqa: PLC0415

    key: Any = rsa.generate_private_key(65537, 2048)
    async with Pair(audio=False) as pair:
        certificate = RTCCertificate(key=key, cert=generate_certificate(key))
        create = certificate._create_ssl_context

        def with_rsa(srtp_profiles: Any) -> Any:
            context = create(srtp_profiles)
            context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256")
            return context

        vars(certificate)["_create_ssl_context"] = with_rsa
        for transceiver in pair.sender.getTransceivers():
            vars(transceiver.sender.transport)["_RTCDtlsTransport__local_certificate"] = certificate
        await pair.connect()


async def test_the_answer_is_there_before_a_server_that_never_answers_is_given_up() -> None:
    servers, _ = parse_ice_servers(
        ["stun:127.0.0.1:9", {"urls": "turn:127.0.0.1:9", "username": "u", "credential": "p"}]
    )
    async with Pair(servers=servers) as pair:
        answer = await pair.peer.answer(await pair.offer())
        assert "a=candidate:" in answer
        assert "a=end-of-candidates" not in answer
        assert not pair.peer.ice_problems


async def test_loopback_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: [])
    async with Pair(audio=False) as pair:
        answer = await pair.peer.answer(await pair.offer())
    addresses = {line.split()[4] for line in answer.splitlines() if line.startswith("a=candidate:")}
    assert addresses == {"127.0.0.1"}


async def test_an_offer_without_mids_is_answered_without_them() -> None:
    async with Pair(audio=False) as pair:
        offer = "\r\n".join(
            line for line in (await pair.offer()).splitlines() if not line.startswith(("a=mid:", "a=group:BUNDLE"))
        )
        answer = await pair.peer.answer(offer + "\r\n")
    assert "a=mid" not in answer
    assert "BUNDLE" not in answer
    assert "m=video" in answer


@pytest.mark.parametrize("profile", ["4d001f", "640c1f", "42001f"])
async def test_any_profile_of_h264_is_accepted_as_it_was_offered(profile: str) -> None:
    async with Pair(audio=False) as pair:
        lines = []
        for line in (await pair.offer()).splitlines():
            if line.startswith("a=fmtp") and "profile-level-id" in line:
                head = line.split("profile-level-id=")[0]
                line = f"{head}profile-level-id={profile}"  # noqa: PLW2901
            lines.append(line)
        answer = await pair.peer.answer("\r\n".join(lines) + "\r\n")
    assert f"profile-level-id={profile}" in answer
    assert "nack pli" in answer


async def test_a_section_that_nobody_can_decode_is_refused_and_the_rest_goes_on() -> None:
    async with Pair() as pair:
        offer = (await pair.offer()).replace("opus/48000/2", "speex/16000")
        offer = "\r\n".join(line for line in offer.splitlines() if "PCM" not in line and "G722" not in line) + "\r\n"
        answer = await pair.peer.answer(offer)
    media = [line for line in answer.splitlines() if line.startswith("m=")]
    assert media[0].split()[1] != "0"
    assert media[1].startswith("m=audio 0 ")


@pytest.mark.parametrize(
    "offer", ["", "v=0", "nonsense", "v=0\r\nm=video\r\n", "v=0\r\ns=-\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"]
)
async def test_an_offer_that_is_none_is_a_failed_negotiation(offer: str) -> None:
    async with Pair() as pair:
        with pytest.raises(ConnectionFailedError) as caught:
            await pair.peer.answer(offer)
    assert caught.value.stage == "negotiation"


async def test_a_later_offer_is_answered_while_media_goes_on() -> None:
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()
        answer = await pair.peer.answer(await pair.offer())
        await pair.sender.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        (media,) = pair.inputs
        media.arrived.clear()
        await media.arrived.wait()


def test_ice_servers_come_in_three_shapes_and_with_faults() -> None:
    servers, problems = parse_ice_servers(
        [
            "stun:one.example?transport=udp",
            {"uri": "turn:two.example:99?transport=tcp", "usr": "u", "pwd": "p"},
            {"urls": ["turns:[2001:db8::1]", "stun:one.example"], "username": "v", "credential": "q"},
            None,
            7,
            {},
            "http://nobody:secret@three.example",
        ]
    )
    assert [str(server) for server in servers] == [
        "stun:one.example:3478?transport=udp",
        "turn:two.example:99?transport=tcp",
        "turns:2001:db8::1:5349?transport=tcp",
        "stun:one.example:3478?transport=udp",
    ]
    assert servers[1].password is not None
    assert servers[1].password.reveal() == "p"
    assert len(problems) == 4
    assert "secret" not in " ".join(problems)


def test_only_candidates_that_can_be_paired_are_used() -> None:
    assert usable_candidate("1 1 UDP 2 192.0.2.1 5 typ host")
    assert not usable_candidate("1 1 tcp 2 192.0.2.1 9 typ host tcptype active")
    assert not usable_candidate("1 1 udp 2 4b9f.local 5 typ host")
    assert not usable_candidate("nonsense")
