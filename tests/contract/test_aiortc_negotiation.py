"""The offers that our peer answers with aiortc, and later offers."""

import asyncio
import random

import pytest
from aiortc import (
    RTCSessionDescription,
)
from aiortc.mediastreams import VideoStreamTrack

from streamer.errors import ConnectionFailedError
from streamer.rtc.ice import parse_ice_servers, usable_candidate
from tests.support.webrtc_pair import LIMIT_S, Pair


async def test_the_answer_does_not_wait_for_a_server_that_never_answers() -> None:
    servers, _ = parse_ice_servers(
        ["stun:127.0.0.1:9", {"urls": "turn:127.0.0.1:9", "username": "u", "credential": "p"}]
    )
    async with Pair(servers=servers) as pair:
        answer = await pair.peer.answer(await pair.offer())
        assert "a=candidate:" in answer
        assert "a=end-of-candidates" not in answer
        assert not pair.peer.ice_problems


async def test_loopback_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: [])
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


async def test_an_undecodable_section_is_refused_and_the_others_go_on() -> None:
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
async def test_an_invalid_offer_is_a_failed_negotiation(offer: str) -> None:
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
        "turns:[2001:db8::1]:5349?transport=tcp",
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


async def test_an_offer_whose_audio_is_refused_connects_with_its_video() -> None:
    async with Pair(audio=False) as pair, asyncio.timeout(LIMIT_S):
        offer = await pair.offer()
        video = offer[offer.index("m=video") :]
        transport = [line for line in video.splitlines() if line.startswith(("c=", "a=ice-", "a=finger", "a=setup:"))]
        audio = ["m=audio 9 UDP/TLS/RTP/SAVPF 97", "a=mid:audio", "a=rtpmap:97 speex/16000", "a=rtcp-mux", *transport]
        answer = await pair.peer.answer(offer + "\r\n".join([*audio, ""]))
        # aiortc 1.16, as the offerer, takes no answer that refuses a section: it gets the one without.
        taken, refused = answer[: answer.index("m=audio")], answer[answer.index("m=audio") :]
        assert refused.startswith("m=audio 0 ")
        await pair.sender.setRemoteDescription(RTCSessionDescription(taken, "answer"))
        await pair.peer.connected.wait()
        (media,) = pair.inputs
        await media.arrived.wait()
        assert [track.kind for track in media.tracks] == ["video"]


async def test_a_candidate_never_raises_whatever_it_says_before_or_after_the_offer() -> None:
    odd = [
        "",
        "nonsense",
        "candidate:1 1 udp 1 phone.example 5000 typ host",
        "candidate:1 1 udp 1 192.0.2.256 5000 typ host",
        "candidate:1 1 udp 1 192.0.2.2 99999 typ host",
        "candidate:1 9 udp 1 192.0.2.2 5000 typ host",
        "candidate:1 1 udp x 192.0.2.2 5000 typ host",
        "candidate:1 1 udp 1 192.0.2.2 5000 typ prflx",
        "candidate:1 1 udp 1 192.0.2.2 5000 typ srflx raddr x rport x",
        "candidate:1 1 tcp 1 192.0.2.2 9 typ host tcptype active",
        "candidate:1 1 udp 1 4b9f.local 5000 typ host",
    ]
    places = [("0", 0), (None, None), ("nowhere", 99), (None, 99), ("0", None)]
    async with Pair() as pair:
        for where in places:
            for candidate in odd:
                await pair.peer.add_candidate(candidate, *where)
        await pair.connect()
        for where in places:
            for candidate in odd:
                await pair.peer.add_candidate(candidate, *where)


async def test_an_offer_with_missing_repeated_or_broken_lines_is_answered_or_a_failed_negotiation() -> None:
    """The law: whatever was done to a few lines of an offer, nothing but ConnectionFailedError is raised."""
    async with Pair() as pair:
        pair.sender.createDataChannel("status")
        lines = (await pair.offer()).splitlines()
    answered = 0
    for seed in range(200):
        chance = random.Random(seed)
        changed = list(lines)
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(changed))
            line = changed[place]
            cut = chance.randint(0, len(line))
            changed[place : place + 1] = chance.choice(
                [[], [line, line], [line[:cut]], [line[:cut] + "x" + line[cut:]]]
            )
        async with Pair() as pair:
            try:
                answer = await pair.peer.answer("\r\n".join(changed) + "\r\n")
            except ConnectionFailedError as error:
                assert error.stage == "negotiation"  # noqa: PT017 - one of two outcomes
            else:
                answered += 1
                assert answer.startswith("v=0")
    assert 40 < answered < 200


async def test_a_second_video_section_of_a_later_offer_is_refused_and_named() -> None:
    """Only the SSRC would distinguish its packets from the first one's."""
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        await pair.connect()
        (media,) = pair.inputs
        await media.arrived.wait()
        pair.sender.addTrack(VideoStreamTrack())
        offer = await pair.offer()
        answer = await pair.peer.answer(offer)  # aiortc takes no answer that refuses a section
        assert [section.split()[1] != "0" for section in answer.split("m=")[1:]] == [True, True, False]
        assert [track.kind for track in media.tracks] == ["video", "audio"]
        assert "more than one video or audio section" in await pair.problems.get()
        assert await pair.peer.answer(offer)
        assert pair.problems.empty()  # named once


async def test_offers_cannot_make_aiortc_keep_ever_more_sections() -> None:
    async with Pair() as pair, asyncio.timeout(LIMIT_S):
        offer = await pair.offer()
        await pair.connect(offer)
        with pytest.raises(ConnectionFailedError, match="at most 64 different media sections"):
            for number in range(64):
                await pair.peer.answer(offer.replace("a=mid:1", f"a=mid:x{number}"))
