"""Offers and answers: what is handed to aiortc, and what the phone gets back, as aiortc's own parser reads it."""

from collections.abc import Sequence

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import SessionDescription
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.errors import ConnectionFailedError
from streamer.rtc.sdp import FEEDBACK, TRANSPORT_CC, Negotiation
from streamer.tracks import Codec, Track

TRANSPORT = [
    "c=IN IP4 0.0.0.0",
    "a=rtcp-mux",
    "a=rtcp-rsize",
    "a=ice-ufrag:3W4J",
    "a=ice-pwd:qagc1pcpcrJD3c38UnSNtX",
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
    "a=setup:actpass",
]
CANDIDATES = [
    "a=candidate:1 1 udp 2130706431 192.0.2.2 5000 typ host",
    "a=candidate:1 1 UDP 2130706431 192.0.2.3 5000 typ host",
    "a=candidate:2 1 tcp 1518280447 192.0.2.2 9 typ host tcptype active",
    "a=candidate:3 1 udp 2122260223 1b5ea2b8-9d2f-4f1e.local 5000 typ host",
    "a=end-of-candidates",
]
VIDEO = [
    "a=rtpmap:96 VP8/90000",
    "a=rtcp-fb:96 nack",
    "a=rtpmap:97 rtx/90000",
    "a=fmtp:97 apt=96",
    "a=rtpmap:102 H264/90000",
    "a=rtcp-fb:102 goog-remb",
    "a=rtcp-fb:102 transport-cc",
    "a=rtcp-fb:102 ccm fir",
    "a=rtcp-fb:102 nack",
    "a=rtcp-fb:102 nack pli",
    "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f",
    "a=rtpmap:103 rtx/90000",
    "a=fmtp:103 apt=102",
    f"a=extmap:4 {TRANSPORT_CC}",
    "a=ssrc:7 cname:x",
    *CANDIDATES,
]
AUDIO = ["a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1", "a=rtpmap:0 PCMU/8000", *CANDIDATES]
SPEEX = ["a=rtpmap:112 speex/16000"]
KINDS = {
    "video": ("video", "96 97 102 103", VIDEO),
    "audio": ("audio", "111 0", AUDIO),
    "speex": ("audio", "112", SPEEX),
    "av1": ("video", "45", ["a=rtpmap:45 AV1/90000"]),
}


def offer_of(
    names: Sequence[str] = ("video", "audio", "data"),
    *,
    mids: bool = True,
    bundle: bool = True,
    port: str = "9",
) -> str:
    lines = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    if bundle:
        lines.append("a=group:BUNDLE " + " ".join(f"m{number}" for number in range(len(names))))
    for number, name in enumerate(names):
        if name == "data":
            lines += [f"m=application {port} UDP/DTLS/SCTP webrtc-datachannel", *TRANSPORT, "a=sctp-port:5000"]
        else:
            kind, formats, own = KINDS[name]
            lines += [f"m={kind} {port} UDP/TLS/RTP/SAVPF {formats}", *TRANSPORT, "a=sendonly", *own]
        lines += [f"a=mid:m{number}"] if mids else []
    return "\r\n".join(lines) + "\r\n"


async def answered(negotiation: Negotiation) -> str:
    """Return aiortc's answer, finished; nothing is gathered, so no socket is opened."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        await connection.setRemoteDescription(RTCSessionDescription(negotiation.offer, "offer"))
        return negotiation.finish_answer((await connection.createAnswer()).sdp)
    finally:
        await connection.close()


def sections(sdp: str) -> list[list[str]]:
    """Return each media section's lines."""
    found: list[list[str]] = []
    for line in sdp.splitlines():
        if line.startswith("m="):
            found.append([])
        if found:
            found[-1].append(line)
    return found


# What is received


def test_the_tracks_are_what_was_offered_and_can_be_decoded() -> None:
    video, audio = Negotiation(offer_of()).tracks
    parameters = {"level-asymmetry-allowed": "1", "packetization-mode": "1", "profile-level-id": "640c1f"}
    assert video == Track(
        kind="video",
        mid="m0",
        codecs={102: Codec(name="h264", clock_rate=90_000, parameters=parameters)},
        rtx={103: 102},
        feedback=frozenset(FEEDBACK),
        transport_cc_id=4,
        reduced_size_rtcp=True,
    )
    opus = Codec(name="opus", clock_rate=48_000, channels=2, parameters={"minptime": "10", "useinbandfec": "1"})
    assert audio == Track(kind="audio", mid="m1", codecs={111: opus}, reduced_size_rtcp=True)


def test_the_interleaved_mode_is_not_received() -> None:
    with pytest.raises(ConnectionFailedError):
        Negotiation(offer_of(["video"]).replace("packetization-mode=1", "packetization-mode=2"))


@pytest.mark.parametrize("names", [["audio", "data"], ["av1"], ["av1", "audio"], ["data"]])
def test_an_offer_without_video_that_can_be_decoded_says_what_it_has(names: list[str]) -> None:
    with pytest.raises(ConnectionFailedError, match=f"H264, got {'AV1' if 'av1' in names else 'none'}") as caught:
        Negotiation(offer_of(names))
    assert caught.value.stage == "negotiation"


def test_video_that_is_offered_in_a_bundle_only_is_received() -> None:
    """RFC 8843 section 6: such a section has port 0, and is not refused."""
    bundle_only = offer_of(port="0").replace("a=rtcp-mux\r\n", "a=rtcp-mux\r\na=bundle-only\r\n")
    assert [track.kind for track in Negotiation(bundle_only).tracks] == ["video", "audio"]
    with pytest.raises(ConnectionFailedError):
        Negotiation(offer_of(port="0"))


# What aiortc gets


@pytest.mark.parametrize("mids", [True, False])
def test_aiortc_gets_candidates_it_can_use_and_never_their_end(mids: bool) -> None:
    parsed = SessionDescription.parse(Negotiation(offer_of(mids=mids, bundle=mids)).offer)
    video, audio, data = parsed.media
    for section in (video, audio):
        assert [candidate.ip for candidate in section.ice_candidates] == ["192.0.2.2", "192.0.2.3"]
        assert not section.ice_candidates_complete
    assert len({video.rtp.muxId, audio.rtp.muxId, data.rtp.muxId}) == 3


def test_a_bundle_names_only_sections_that_are_there() -> None:
    offer = offer_of().replace("BUNDLE m0", "BUNDLE gone m0")
    (group,) = SessionDescription.parse(Negotiation(offer).offer).group
    assert group.items == ["m0", "m1", "m2"]


# What the phone gets


@given(
    st.permutations(["video", "audio", "speex", "av1", "data"]),
    st.integers(1, 5),
    st.sampled_from([(True, True), (True, False), (False, False)]),
)
@settings(deadline=None, max_examples=40)
async def test_an_answer_takes_of_each_section_what_was_offered_and_refuses_the_rest(
    order: list[str], count: int, identified: tuple[bool, bool]
) -> None:
    """The law: for any sections in any order, with or without identifiers and bundle, the answer has the same sections
    in the same order; codecs, parameters and feedback are among those offered; what cannot be decoded has port 0."""
    names = ["video", *order[:count]] if "video" not in order[:count] else order[:count]
    mids, bundle = identified
    offer = offer_of(names, mids=mids, bundle=bundle)
    answer = await answered(Negotiation(offer))
    offered, found = sections(offer), sections(answer)
    assert len(found) == len(offered)
    for name, theirs, ours in zip(names, offered, found, strict=True):
        (kind, port, protocol, *formats), offered_formats = ours[0][2:].split(), theirs[0].split()[3:]
        assert (kind, protocol) == (theirs[0][2:].split()[0], theirs[0].split()[2])
        assert (port == "0") == (name in {"speex", "av1"})
        assert ("a=inactive" in ours) == (name in {"speex", "av1"})
        assert set(formats) <= set(offered_formats)
        for line in ours:
            if line.startswith(("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=mid:", "a=extmap:4 ")):
                assert line in theirs
        if name in {"video", "audio"}:
            assert "a=recvonly" in ours
            assert "a=ice-options:trickle" in ours
            assert "a=end-of-candidates" not in ours
        assert any(line.startswith("a=mid:") for line in ours) == mids
    groups = [line.split()[1:] for line in answer.splitlines() if line.startswith("a=group:BUNDLE")]
    accepted = [f"m{place}" for place, name in enumerate(names) if name not in {"speex", "av1"}]
    assert groups == ([accepted] if bundle else [])
    SessionDescription.parse(answer)


async def test_the_answer_accepts_all_feedback_that_we_send_and_no_other() -> None:
    video, audio, _ = sections(await answered(Negotiation(offer_of())))
    assert [line for line in video if line.startswith("a=rtcp-fb:")] == [f"a=rtcp-fb:102 {kind}" for kind in FEEDBACK]
    assert video[0].split()[3:] == ["102", "103"]
    assert audio[0].split()[3:] == ["111"]
    assert {"a=rtcp-rsize", "a=fmtp:103 apt=102", f"a=extmap:4 {TRANSPORT_CC}"} <= set(video)


# Anything else


@given(st.text(max_size=300) | st.lists(st.sampled_from(offer_of().splitlines()), max_size=40).map("\n".join))
@settings(deadline=None)
def test_any_text_is_an_offer_or_a_failed_negotiation(text: str) -> None:
    """The law: nothing but ConnectionFailedError is raised, whatever the text, and it names its stage."""
    try:
        negotiation = Negotiation(text)
    except ConnectionFailedError as error:
        assert error.stage == "negotiation"  # noqa: PT017 - only one of two outcomes
    else:
        assert any(track.kind == "video" for track in negotiation.tracks)


ODD = ["0", "\u00b2", "\u0663", "096", "-1", "+96", "9" * 5000, "128", "x", "", "1e2"]


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_an_offer_with_odd_numbers_is_answered_or_a_failed_negotiation(data: st.DataObject) -> None:
    """The law: the same for an offer of which any few numbers were replaced, up to the finished answer."""
    pieces = ["96", "97", "102", "103", "111", "90000", "48000", "/2", "=102", ":4 "]
    text = offer_of()
    for piece in data.draw(st.lists(st.sampled_from(pieces), min_size=1, max_size=3)):
        odd = data.draw(st.sampled_from(ODD))
        text = text.replace(piece, piece[0] * (not piece[0].isdigit()) + odd + " " * piece.endswith(" "))
    try:
        negotiation = Negotiation(text)
    except ConnectionFailedError:
        return
    for track in negotiation.tracks:
        assert all(0 <= payload_type < 128 for payload_type in [*track.codecs, *track.rtx])
        assert 0 <= track.transport_cc_id < 15
        assert all(codec.clock_rate > 0 for codec in track.codecs.values())
    assert len(sections(negotiation.finish_answer(negotiation.offer))) == 3
