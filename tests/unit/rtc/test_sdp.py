"""Offers and answers: what is handed to aiortc, and what the phone gets back, as aiortc's own parser reads it."""

from collections.abc import Callable, Sequence

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import ConnectionFailedError
from streamer.rtc.ice import CANDIDATES_LIMIT
from streamer.rtc.sdp import (
    ABS_SEND_TIME,
    FEEDBACK,
    LINES_LIMIT,
    SECTIONS_LIMIT,
    TRANSPORT_CC,
    Negotiation,
    ice_credentials,
)
from streamer.tracks import Codec, Track
from tests.support.examples import examples

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
    f"a=extmap:3/sendrecv {ABS_SEND_TIME}",
    "a=ssrc:7 cname:x",
    *CANDIDATES,
]
AUDIO = ["a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1", "a=rtpmap:0 PCMU/8000", *CANDIDATES]
SPEEX = ["a=rtpmap:112 speex/16000"]
KINDS = {
    "video": ("video", "96 97 102 103", VIDEO),
    "audio": ("audio", "111 0", AUDIO),
    "speex": ("audio", "112", SPEEX),
    "h263": ("video", "34", ["a=rtpmap:34 H263/90000"]),
    "vp8": ("video", "96", ["a=rtpmap:96 VP8/90000"]),
    "vp9": ("video", "98 100", ["a=rtpmap:98 VP9/90000", "a=rtpmap:100 VP9/90000", "a=fmtp:100 profile-id=2"]),
    "av1": ("video", "45", ["a=rtpmap:45 AV1/90000", "a=fmtp:45 level-idx=5;profile=0;tier=0"]),
    "h265": ("video", "49", ["a=rtpmap:49 H265/90000", "a=fmtp:49 level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST"]),
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
        codecs={
            102: Codec(name="h264", clock_rate=90_000, parameters=parameters),
            96: Codec(name="vp8", clock_rate=90_000),
        },
        rtx={103: 102, 97: 96},
        feedback=frozenset({"nack", "nack pli", "ccm fir", "transport-cc"}),
        transport_cc_id=4,
        reduced_size_rtcp=True,
    )
    opus = Codec(name="opus", clock_rate=48_000, channels=2, parameters={"minptime": "10", "useinbandfec": "1"})
    assert audio == Track(kind="audio", mid="m1", codecs={111: opus}, reduced_size_rtcp=True)


def offer_in(maps: dict[int, str], parameters: dict[int, str]) -> str:
    """Return an offer of one video section with these codecs in this order."""
    lines = [f"a=rtpmap:{payload_type} {name}/90000" for payload_type, name in maps.items()]
    lines += [f"a=fmtp:{payload_type} {text}" for payload_type, text in parameters.items()]
    offer = offer_of(["h263"]).replace("SAVPF 34", "SAVPF " + " ".join(map(str, maps)))
    return offer.replace("a=rtpmap:34 H263/90000", "\r\n".join(lines))


@given(st.permutations(["VP8", "vp9", "AV1", "H265", "H264", "H263"]), st.integers(1, 6))
def test_h264_is_preferred_and_then_what_the_phone_prefers(names: list[str], count: int) -> None:
    """The law: for any codecs in any order, those that can be decoded are accepted, H.264 first, the rest in order."""
    maps = dict(enumerate([*names[:count], "VP8"], start=96))
    (track,) = Negotiation(offer_in(maps, {})).tracks
    accepted = [payload_type for payload_type, name in maps.items() if name != "H263"]
    assert list(track.codecs) == sorted(accepted, key=lambda payload_type: maps[payload_type] != "H264")
    assert [codec.name for codec in track.codecs.values()] == [maps[number].lower() for number in track.codecs]


@pytest.mark.parametrize(
    ("name", "parameters", "is_accepted"),
    [
        ("H264", "packetization-mode=0", True),
        ("H264", "packetization-mode=2", False),
        ("VP9", "profile-id=0", True),
        ("VP9", "profile-id=1", True),
        ("VP9", "profile-id=2", False),
        ("VP9", "profile-id=3", False),
        ("AV1", "level-idx=5;profile=0;tier=0", True),
        ("AV1", "profile=1", True),
        ("AV1", "profile=2", False),
        ("H265", "level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST", True),
        ("H265", "profile-id=2", False),
        ("H265", "tx-mode=MRST", False),
        ("H265", "sprop-max-don-diff=0", True),
        ("H265", "sprop-max-don-diff=2", False),
        ("VP8", "max-fs=12288;max-fr=60", True),
    ],
)
def test_undecodable_profiles_and_modes_are_not_accepted(name: str, parameters: str, is_accepted: bool) -> None:
    (track,) = Negotiation(offer_in({96: name, 97: "VP8"}, {96: parameters})).tracks
    assert set(track.codecs) == ({96, 97} if is_accepted else {97})


@pytest.mark.parametrize("names", [["audio", "data"], ["h263"], ["h263", "audio"], ["data"]])
def test_an_offer_without_decodable_video_is_refused_by_what_it_has(names: list[str]) -> None:
    expected = f"8-bit video in H264, H265, VP8, VP9, AV1, got {'H263' if 'h263' in names else 'none'}"
    with pytest.raises(ConnectionFailedError, match=expected) as caught:
        Negotiation(offer_of(names))
    assert caught.value.stage == "negotiation"


def test_bundle_only_video_is_received() -> None:
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


def test_the_sources_that_an_offer_names_are_known() -> None:
    lines = [
        "a=ssrc:1 cname:x",
        "a=ssrc:1 msid:y",
        "a=ssrc:4294967295 cname:x",
        f"a=ssrc:{'9' * 5000}",
        "a=ssrc:-1",
        "a=ssrc:",
    ]
    offer = offer_of(("audio", "video")) + "\r\n".join([*lines, ""])
    assert Negotiation(offer).ssrcs == {1, 7, 4294967295}


def test_sections_have_a_limit() -> None:
    data = offer_of().rpartition("m=application")[2]
    at_limit = offer_of() + "".join(f"m=application{data}" for _ in range(SECTIONS_LIMIT - 3))
    assert len(Negotiation(at_limit.replace("a=mid:", "a=x-mid:")).tracks) == 2
    with pytest.raises(ConnectionFailedError, match="at most 32 media sections, got 33"):
        Negotiation(f"{at_limit}m=application{data}")


def test_lines_have_a_limit() -> None:
    offer = offer_of()
    at_limit = offer + "a=x\r\n" * (LINES_LIMIT - len(offer.splitlines()))
    assert Negotiation(at_limit).tracks
    with pytest.raises(ConnectionFailedError, match="at most 4096 lines, got 4097"):
        Negotiation(f"{at_limit}a=x\r\n")


def test_sections_with_one_mid_are_refused_together() -> None:
    with pytest.raises(ConnectionFailedError, match="its own mid"):
        Negotiation(offer_of().replace("a=mid:m1", "a=mid:m0"))


@pytest.mark.parametrize(("received", "taken"), [((), "m0"), ({"m1"}, "m1"), ({"gone"}, "m0")])
def test_of_two_sections_of_a_kind_the_received_one_goes_on(received: Sequence[str], taken: str) -> None:
    negotiation = Negotiation(offer_of(["video", "vp8"]), received=received)
    assert [track.mid for track in negotiation.tracks] == [taken]
    assert negotiation.surplus == [{"m0": "m1", "m1": "m0"}[taken]]


HOSTILE: dict[str, Callable[[int], str]] = {
    "ssrc": lambda i: f"a=ssrc:{i} a:",
    "ssrc-group": lambda _: "a=ssrc-group:F 1 2",
    "rtcp-fb": lambda i: f"a=rtcp-fb:* x{i}",
    "rtpmap": lambda i: f"a=rtpmap:{i % 128} H264/{i}",
    "fmtp": lambda i: f"a=fmtp:96 x={i}",
    "extmap": lambda i: f"a=extmap:{i % 14 + 1} u:{i} more than aiortc reads",
    "fingerprint": lambda i: f"a=fingerprint:sha-256 {i}",
    "candidate": lambda _: "a=candidate:1 1 udp 1 192.0.2.9 9 typ host",
    "msid": lambda i: f"a=msid:{i} {i}",
    "crypto": lambda i: f"a=crypto:{i} AES_CM_128_HMAC_SHA1_80 inline:x",
    "rtcp": lambda _: "a=rtcp:x",
    "sctpmap": lambda i: f"a=sctpmap:{i} x",
    "connection": lambda _: "c=nonsense",
    "bandwidth": lambda i: f"b=AS:{i}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_aiortc_gets_few_lines_of_any_attribute(name: str) -> None:
    """The law: however many lines an offer has, aiortc gets some tens of them, and can read each."""
    lines = "".join(f"{HOSTILE[name](i)}\r\n" for i in range(3900))
    session, _, section = offer_of(["video"]).partition("m=")
    for offer in (f"{session}m={section}{lines}", f"{session}{lines}m={section}"):
        got = Negotiation(offer).offer
        assert len(got.splitlines()) < 60
        SessionDescription.parse(got)


def test_repeated_formats_and_mids_count_once() -> None:
    """A format's parameters are read once for each time that the section names it."""
    offer = (
        offer_of(["video"]).replace("SAVPF 96", "SAVPF" + " 96" * 10_000).replace("BUNDLE m0", "BUNDLE" + " m0" * 9999)
    )
    negotiation = Negotiation(offer)
    (group,) = SessionDescription.parse(negotiation.offer).group
    assert group.items == ["m0"]
    (section,) = sections(negotiation.finish_answer(negotiation.offer))
    assert section[0].split()[3:] == ["102", "96", "97", "103"]


def test_the_candidates_of_all_sections_together_have_a_limit() -> None:
    more = "".join(f"a=candidate:1 1 udp 1 192.0.2.9 {port} typ host\r\n" for port in range(1, 500))
    parsed = SessionDescription.parse(Negotiation(offer_of().replace("a=mid:m1", f"{more}a=mid:m1")).offer)
    found = {(candidate.ip, candidate.port) for section in parsed.media for candidate in section.ice_candidates}
    assert len(found) == CANDIDATES_LIMIT


def test_a_codec_in_a_section_for_data_is_ignored() -> None:
    """aiortc 1.16 would look for the codec of a format, and end in a StopIteration."""
    offer = offer_of() + "a=fmtp:102 level-asymmetry-allowed=1\r\na=rtcp-fb:102 nack\r\n"
    video, _, data = SessionDescription.parse(Negotiation(offer).offer).media
    assert (video.kind, data.kind, data.rtp.codecs) == ("video", "application", [])


# What the phone gets


@given(
    st.permutations(["video", "audio", "speex", "h263", "data", "vp8", "vp9", "av1", "h265"]),
    st.integers(1, 9),
    st.sampled_from([(True, True), (True, False), (False, False)]),
)
@examples(40)
async def test_an_answer_takes_of_each_section_what_was_offered_and_refuses_the_rest(
    order: list[str], count: int, identified: tuple[bool, bool]
) -> None:
    """The law: for any sections in any order, with or without identifiers and bundle, the answer has the same sections
    in the same order; codecs, parameters and feedback are among those offered; the first section of each kind that can
    be decoded is received, and each other one has port 0."""
    names = ["video", *order[:count]] if "video" not in order[:count] else order[:count]
    mids, bundle = identified
    offer = offer_of(names, mids=mids, bundle=bundle)
    negotiation = Negotiation(offer)
    answer = await answered(negotiation)
    offered, found = sections(offer), sections(answer)
    assert len(found) == len(offered)
    first = next(name for name in names if name not in {"speex", "h263", "data", "audio"})
    taken = {first, "audio", "data"}
    for name, theirs, ours in zip(names, offered, found, strict=True):
        (kind, port, protocol, *formats), offered_formats = ours[0][2:].split(), theirs[0].split()[3:]
        assert (kind, protocol) == (theirs[0][2:].split()[0], theirs[0].split()[2])
        assert (port != "0") == (name in taken)
        assert ("a=inactive" in ours) == (name not in taken)
        assert set(formats) <= set(offered_formats)
        for line in ours:
            if line.startswith(("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=mid:", "a=extmap:4 ")):
                assert line in theirs
        if name in taken - {"data"}:
            assert "a=recvonly" in ours
            assert "a=ice-options:trickle" in ours
            assert "a=end-of-candidates" not in ours
        assert any(line.startswith("a=mid:") for line in ours) == mids
    groups = [line.split()[1:] for line in answer.splitlines() if line.startswith("a=group:BUNDLE")]
    accepted = [f"m{place}" for place, name in enumerate(names) if name in taken]
    assert groups == ([accepted] if bundle else [])
    assert len(negotiation.surplus) == len(set(names) - taken - {"speex", "h263"})
    SessionDescription.parse(answer)


async def test_the_answer_accepts_all_feedback_that_we_send_and_no_other() -> None:
    video, audio, _ = sections(await answered(Negotiation(offer_of())))
    feedback = [line for line in video if line.startswith("a=rtcp-fb:")]
    accepted = [kind for kind in FEEDBACK if kind != "goog-remb"]
    assert feedback == [*(f"a=rtcp-fb:102 {kind}" for kind in accepted), "a=rtcp-fb:96 nack"]
    assert video[0].split()[3:] == ["102", "96", "97", "103"]
    assert audio[0].split()[3:] == ["111"]
    assert {"a=rtcp-rsize", "a=fmtp:103 apt=102", f"a=extmap:4 {TRANSPORT_CC}"} <= set(video)
    assert not any(ABS_SEND_TIME in line for line in video)


@pytest.mark.parametrize("missing", [" transport-cc", f"a=extmap:4 {TRANSPORT_CC}"])
async def test_without_transport_wide_feedback_the_answer_accepts_send_times_and_our_estimate(missing: str) -> None:
    negotiation = Negotiation(offer_of().replace(missing, " other"))
    assert (negotiation.tracks[0].transport_cc_id, negotiation.tracks[0].abs_send_time_id) == (0, 3)
    video, *_ = sections(await answered(negotiation))
    assert "a=rtcp-fb:102 goog-remb" in video
    assert [line for line in video if "extmap" in line and "mid" not in line] == [f"a=extmap:3 {ABS_SEND_TIME}"]
    assert not any("transport-cc" in line for line in video)


@pytest.mark.parametrize("missing", [" goog-remb", f"a=extmap:3/sendrecv {ABS_SEND_TIME}"])
async def test_incomplete_congestion_feedback_is_not_accepted(missing: str) -> None:
    negotiation = Negotiation(offer_of().replace(missing, " other").replace(" transport-cc", " other"))
    assert negotiation.tracks[0].feedback == {"nack", "nack pli", "ccm fir"}
    answer = await answered(negotiation)
    assert not any(word in answer for word in ("goog-remb", ABS_SEND_TIME, "transport-cc", TRANSPORT_CC))


@pytest.mark.parametrize("name", ["vp8", "vp9", "av1", "h265"])
async def test_an_offer_of_one_other_codec_is_answered_with_it(name: str) -> None:
    _, formats, lines = KINDS[name]
    (video,) = sections(await answered(Negotiation(offer_of([name]))))
    payload_type = formats.split()[0]
    assert video[0].split()[3:] == [payload_type]
    mine = [line for line in video if line.startswith(("a=rtpmap:", "a=fmtp:"))]
    assert mine == [line for line in lines if f":{payload_type} " in line]


# Anything else


@given(st.text(max_size=300) | st.lists(st.sampled_from(offer_of().splitlines()), max_size=40).map("\n".join))
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
@examples(300)
def test_an_offer_with_odd_numbers_is_answered_or_a_failed_negotiation(data: st.DataObject) -> None:
    """The law: the same for an offer of which any few numbers were replaced, up to the finished answer."""
    pieces = ["96", "97", "102", "103", "111", "90000", "48000", "/2", "=102", ":4 ", ":3/"]
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
        assert 0 <= track.abs_send_time_id < 15
        assert all(codec.clock_rate > 0 for codec in track.codecs.values())
    assert len(sections(negotiation.finish_answer(negotiation.offer))) == 3


def test_other_credentials_restart_ice() -> None:
    offer = "v=0\r\na=ice-ufrag:ab\r\na=ice-pwd:cd\r\nm=audio 9 X 0\r\na=ice-ufrag:ef\r\na=ice-pwd: gh\r\n"
    assert ice_credentials(offer) == {("ab", "cd"), ("ef", "gh")}
    assert ice_credentials("nonsense\na=ice-ufrag:ab") == frozenset()
