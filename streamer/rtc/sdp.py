"""Rewrites the offer for aiortc, and aiortc's answer for the phone: text in, text out (RFC 8866, RFC 8829).

aiortc negotiates for its own decoders and its own feedback, but this package receives the media itself. So the offer
for aiortc has one codec that aiortc accepts, in place of all the phone's codecs. The answer for the phone has the
phone's own lines for the codecs that *this* package decodes, H.264 first and then in the phone's order, and the
feedback that this package sends.
"""

import re
from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Final

from streamer.codec_table import AUDIO_CODECS, CODECS, VIDEO_CODECS
from streamer.errors import ConnectionFailedError
from streamer.rtc.ice import RemoteCandidates
from streamer.tracks import Codec, Track
from streamer.untrusted_text import UntrustedText

FEEDBACK: Final = ("nack", "nack pli", "ccm fir", "transport-cc", "goog-remb")
TRANSPORT_CC: Final = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
ABS_SEND_TIME: Final = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
# How a sender learns the bandwidth, in order of preference. One is enough; each needs its header extension.
_CONGESTION: Final = {"transport-cc": TRANSPORT_CC, "goog-remb": ABS_SEND_TIME}
SECTIONS_LIMIT: Final = 32  # without a bundle, each section gets its own sockets
LINES_LIMIT: Final = 4096  # of an offer; libwebrtc's largest ones have some 300
_LINE_LIMIT: Final = 1024  # characters of a line that aiortc gets, and of a format's parameters
_MID_LIMIT: Final = 256  # characters
_SSRC_DIGITS: Final = 10
_FORMATS_LIMIT: Final = 128  # of a section: there are no more payload types
_REPEATS_LIMIT: Final = 16  # lines with one attribute that aiortc gets of a section, candidates apart
_BUNDLE: Final = "a=group:BUNDLE"
_UFRAG: Final = "a=ice-ufrag:"
_PASSWORD: Final = "a=ice-pwd:"  # noqa: S105 - an attribute's name
# The attributes that aiortc 1.16 needs to connect. It searches lists for some of the others, and raises on what it
# cannot parse.
_SESSION_ATTRIBUTES: Final = frozenset({"fingerprint", "ice-lite", "ice-options", "ice-pwd", "ice-ufrag", "setup"})
_SECTION_ATTRIBUTES: Final = frozenset(
    {"candidate", "mid", "rtcp-mux", "sctp-port", "sctpmap", "max-message-size"}
    | {"sendrecv", "sendonly", "recvonly", "inactive"}
    | _SESSION_ATTRIBUTES
)
_SESSION_HEADER: Final = ("v=0", "o=- 0 0 IN IP4 0.0.0.0", "s=-", "t=0 0")
_MID_EXTENSION: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"
_LINE_END: Final = re.compile(r"\r\n|\r|\n")  # not `str.splitlines`: a name may contain its other separators
_NUMBER: Final = re.compile("0|[1-9][0-9]{0,8}")  # in one notation: formats are compared as text
# The format and the lines of one codec that aiortc accepts, in place of all those offered.
_STAND_INS: Final[dict[str, tuple[list[str], tuple[str, ...]]]] = {
    "video": (
        ["96"],
        (
            "a=rtpmap:96 H264/90000",
            "a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        ),
    ),
    "audio": (["97"], ("a=rtpmap:97 opus/48000/2",)),
}
_PROTOCOL: Final = "UDP/TLS/RTP/SAVPF"


@dataclass(slots=True)
class _Section:
    """A media section: its `m=` line's fields and its other lines."""

    kind: str
    protocol: str
    formats: list[str]
    lines: list[str]
    _values: dict[str, list[str]] = field(default_factory=dict)  # by attribute; filled at the first use

    def values(self, name: str) -> list[str]:
        """Return what follows `a=name:`, in order."""
        if not self._values:
            for line in self.lines:
                attribute, colon, value = line.partition(":")
                if colon:
                    self._values.setdefault(attribute, []).append(value)
        return self._values.get(f"a={name}", [])

    def by_format(self, name: str) -> dict[str, str]:
        """Return the attributes `a=name:<format> <value>`; the last of a format counts."""
        return dict(value.partition(" ")[::2] for value in self.values(name))

    @property
    def mid(self) -> str:
        """The section's identification tag; empty if it has none."""
        return (self.values("mid") or [""])[0].strip()[:_MID_LIMIT]

    def text(self, port: str) -> list[str]:
        return [f"m={self.kind} {port} {self.protocol} {' '.join(self.formats)}", *self.lines]


class Negotiation:
    """One offer, rewritten for aiortc (`offer`). `finish_answer` rewrites aiortc's answer for the phone.

    `tracks` is what the phone may send: at most one video track and one audio track. Of several sections of a kind, it
    has the one whose mid is in `received`, or the first. `surplus` has the mids of the others, which are refused.
    `takes_candidate` decides which candidates aiortc gets. `sections` has the mid and kind of each section, in order.
    `ssrcs` are the sources that the offer names (RFC 5576).

    Raises ConnectionFailedError if the text is not SDP, has no media section, or offers video only in unknown codecs.
    """

    def __init__(
        self,
        offer: str,
        takes_candidate: Callable[[str], bool] | None = None,
        *,
        received: Container[str] = (),
    ) -> None:
        session, numbered = _parse(offer)
        ports = [port for port, _ in numbered]
        self._offered = [section for _, section in numbered]
        if not session or not self._offered:
            raise ConnectionFailedError("expected an SDP offer with media sections, got none", stage="negotiation")
        if len(numbered) > SECTIONS_LIMIT:
            raise ConnectionFailedError(
                f"expected an offer of at most {SECTIONS_LIMIT} media sections, got {len(numbered)}",
                stage="negotiation",
            )
        self._takes_candidate = takes_candidate or RemoteCandidates().takes
        self._has_mids = any(section.mid for section in self._offered)
        self._has_bundle = any(line.startswith(_BUNDLE) for line in session)
        for index, section in enumerate(self._offered):
            mid = f"a=mid:{section.mid or index}"  # exactly one: of several, aiortc would use the last
            others = [line for line in section.lines if not line.startswith("a=mid:")]
            self._offered[index] = _Section(section.kind, section.protocol, section.formats, [*others, mid])
        self.sections = [(section.mid, section.kind) for section in self._offered]
        if len({mid for mid, _ in self.sections}) < len(self.sections):
            raise ConnectionFailedError(
                "expected each media section to have its own mid, got a missing or repeated one", stage="negotiation"
            )
        sources = [value.partition(" ")[0] for section in self._offered for value in section.values("ssrc")]
        self.ssrcs = {int(source) for source in sources if source.isdecimal() and len(source) <= _SSRC_DIGITS}
        self.surplus: list[str] = []
        self._accepted = self._choose(ports, received)  # by m-line index
        self._data = next((section for section in self._offered if section.kind == "application"), None)
        self._refused: list[str] = []  # mids
        lines: list[str] = []
        for index, (port, section) in enumerate(zip(ports, self._offered, strict=True)):
            lines += self._for_aiortc(index, port, section)
        self.tracks = list(self._accepted.values())
        if not any(track.kind == "video" for track in self.tracks):
            raise ConnectionFailedError(
                f"expected an offer with 8-bit video in {', '.join(VIDEO_CODECS).upper()}, "
                f"got {UntrustedText(self._offered_video())}",
                stage="negotiation",
            )
        self.offer = "\r\n".join([*self._session_for_aiortc(session), *lines]) + "\r\n"

    def finish_answer(self, answer: str) -> str:
        """Return aiortc's answer with the phone's codecs, this package's feedback, and the ICE option trickle."""
        session, sections = _parse(answer)
        lines = []
        for line in session:
            if not line.startswith(_BUNDLE):
                lines.append(line)
            elif self._has_bundle:
                lines.append(" ".join([_BUNDLE, *(mid for mid in line.split()[1:] if mid not in self._refused)]))
        for index, (port, section) in enumerate(sections):
            offered = self._offered[index]
            if section.mid in self._refused:
                refusal = ["c=IN IP4 0.0.0.0", f"a=mid:{section.mid}", "a=inactive"]
                finished, port = _Section(offered.kind, offered.protocol, offered.formats, refusal), "0"  # noqa: PLW2901
            else:
                finished = _restored(section, offered, self._accepted.get(index))
            if not self._has_mids:
                finished.lines = [line for line in finished.lines if not line.startswith("a=mid:")]
            lines += finished.text(port)
        return "\r\n".join(lines) + "\r\n"

    def _choose(self, ports: list[str], received: Container[str]) -> dict[int, Track]:
        """Return the tracks to receive, one of each kind."""
        tracks = {
            index: track
            for index, (port, section) in enumerate(zip(ports, self._offered, strict=True))
            # Port 0 refuses a section, unless it is offered only as part of the bundle (RFC 8843 section 6).
            if section.kind in {"audio", "video"} and (port != "0" or "a=bundle-only" in section.lines)
            if (track := _track(section)) is not None
        }
        chosen: dict[str, int] = {}
        for index in sorted(tracks, key=lambda index: (tracks[index].mid not in received, index)):
            if chosen.setdefault(tracks[index].kind, index) != index:
                self.surplus.append(tracks[index].mid)
        return {index: tracks[index] for index in sorted(chosen.values())}

    def _for_aiortc(self, index: int, port: str, section: _Section) -> list[str]:
        extensions: list[str] = []
        takes_candidate = self._takes_candidate
        if index in self._accepted:
            if number := _extension(section, _MID_EXTENSION):
                extensions = [f"a=extmap:{number} {_MID_EXTENSION}"]
            formats, codec = _STAND_INS[section.kind]
        elif section is self._data:
            formats, codec = section.formats, ()
        else:
            self._refused.append(section.mid)
            section, formats, codec = _placeholder(section)
            takes_candidate = _never
        lines = _for_aiortc(section.lines, _SECTION_ATTRIBUTES, takes_candidate)
        chosen = _Section(section.kind, section.protocol, formats, [*lines, *extensions, *codec])
        return chosen.text("9" if port == "0" else port)

    def _session_for_aiortc(self, session: list[str]) -> list[str]:
        # aiortc uses the transport of the bundle's first section, so that must exist and not be refused. It would wait
        # for the transport of a refused section, so refused sections are always added to the bundle.
        offered = next((line.split()[1:] for line in session if line.startswith(_BUNDLE)), [])
        known = {section.mid for section in self._offered if section.mid not in self._refused}
        bundle = [mid for mid in dict.fromkeys(offered) if mid in known] or [next(iter(self._accepted.values())).mid]
        lines = _for_aiortc(session, _SESSION_ATTRIBUTES, _never)
        return [*_SESSION_HEADER, *lines, " ".join([_BUNDLE, *bundle, *self._refused])]

    def _offered_video(self) -> str:
        maps = [section.by_format("rtpmap").values() for section in self._offered if section.kind == "video"]
        return ", ".join(sorted({value.partition("/")[0] for values in maps for value in values})) or "none"


def ice_credentials(offer: str) -> frozenset[tuple[str, str]]:
    """Return an offer's pairs of ICE user name and password. Entirely new ones restart ICE (RFC 8839 section 4.4)."""
    lines = _LINE_END.split(offer) if _line_count(offer) <= LINES_LIMIT else []
    names = [line[len(_UFRAG) :].strip() for line in lines if line.startswith(_UFRAG)]
    passwords = [line[len(_PASSWORD) :].strip() for line in lines if line.startswith(_PASSWORD)]
    return frozenset(zip(names, passwords, strict=False))


def _line_count(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n") + (not text.endswith(("\r", "\n")))


def _parse(text: str) -> tuple[list[str], list[tuple[str, _Section]]]:
    """Return the session's lines, and each section with its port. Invalid lines are left out."""
    session: list[str] = []
    sections: list[tuple[str, _Section]] = []
    if (count := _line_count(text)) > LINES_LIMIT:
        raise ConnectionFailedError(
            f"expected an offer of at most {LINES_LIMIT} lines, got {count}", stage="negotiation"
        )
    for raw in _LINE_END.split(text):
        line = raw.strip()
        if line[1:2] != "=":
            continue
        if line.startswith("m="):
            fields = line[2:].split()
            if len(fields) < 4:
                raise ConnectionFailedError(f"expected an SDP media line, got {line[:80]!r}", stage="negotiation")
            sections.append(
                (fields[1], _Section(fields[0], fields[2], list(dict.fromkeys(fields[3:]))[:_FORMATS_LIMIT], []))
            )
        elif sections:
            sections[-1][1].lines.append(line)
        else:
            session.append(line)
    return session, sections


def _track(section: _Section) -> Track | None:
    """Return the track of a section with the codecs that can be received; None if none can."""
    known = VIDEO_CODECS if section.kind == "video" else AUDIO_CODECS
    rtpmaps = section.by_format("rtpmap")
    fmtps = {payload_type: _parameters(fmtp) for payload_type, fmtp in section.by_format("fmtp").items()}
    codecs: dict[int, Codec] = {}
    rtx: dict[int, int] = {}
    by_preference = sorted(
        (payload_type for payload_type in section.formats if _name(rtpmaps.get(payload_type, "")) in known),
        key=lambda payload_type: _name(rtpmaps[payload_type]) != known[0],
    )
    for payload_type in by_preference:
        fields = rtpmaps[payload_type].split("/")
        parameters = fmtps.get(payload_type, {})
        if (
            not _is_payload_type(payload_type)
            or len(fields) < 2
            or fields[1] == "0"
            or not _NUMBER.fullmatch(fields[1])
            or not CODECS[_name(rtpmaps[payload_type])].accepts(parameters)
        ):
            continue
        codecs[int(payload_type)] = Codec(
            name=_name(rtpmaps[payload_type]),
            clock_rate=int(fields[1]),
            channels=int(fields[2]) if len(fields) > 2 and _NUMBER.fullmatch(fields[2]) else 1,
            parameters=parameters,
        )
    for payload_type in section.formats:
        carried = fmtps.get(payload_type, {}).get("apt", "")
        is_rtx = _name(rtpmaps.get(payload_type, "")) == "rtx" and _is_payload_type(payload_type)
        if is_rtx and _is_payload_type(carried) and int(carried) in codecs:
            rtx[int(payload_type)] = int(carried)
    if not codecs or section.protocol not in {"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP"}:
        return None
    offered = {value.partition(" ")[2] for value in section.values("rtcp-fb")}
    usable = {
        kind: number for kind, uri in _CONGESTION.items() if kind in offered and (number := _extension(section, uri))
    }
    congestion = dict([*usable.items()][:1])
    return Track(
        kind="video" if section.kind == "video" else "audio",
        mid=section.mid,
        codecs=codecs,
        rtx=rtx,
        feedback=frozenset((offered & {*FEEDBACK}) - {*_CONGESTION} | {*congestion}),
        transport_cc_id=congestion.get("transport-cc", 0),
        abs_send_time_id=congestion.get("goog-remb", 0),
        reduced_size_rtcp="a=rtcp-rsize" in section.lines,
    )


def _extension(section: _Section, uri: str) -> int:
    """Return the id of a header extension in its one-byte form (RFC 8285 section 5); 0 if it is not offered."""
    for line in section.values("extmap"):
        value, _, rest = line.partition(" ")
        number = value.partition("/")[0]
        if rest.split()[:1] == [uri] and _NUMBER.fullmatch(number) and int(number) < 15:
            return int(number)
    return 0


def _restored(answer: _Section, offer: _Section, track: Track | None) -> _Section:
    """Return a section of aiortc's answer, rewritten for the phone; `track` is None for data channels."""
    # aiortc ends its list of candidates, but ours are still being gathered (RFC 8838).
    lines = [line for line in answer.lines if line != "a=end-of-candidates"] + ["a=ice-options:trickle"]
    if track is None:
        return _Section(answer.kind, answer.protocol, answer.formats, lines)
    ours = ("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=rtcp-rsize")
    lines = [line for line in lines if not line.startswith(ours) and not line.endswith(f" {ABS_SEND_TIME}")]
    rtpmaps, fmtps, feedback = offer.by_format("rtpmap"), offer.by_format("fmtp"), offer.values("rtcp-fb")
    formats = [str(payload_type) for payload_type in (*track.codecs, *track.rtx)]
    for payload_type in formats:
        lines.append(f"a=rtpmap:{payload_type} {rtpmaps[payload_type]}")
        if payload_type in fmtps:
            lines.append(f"a=fmtp:{payload_type} {fmtps[payload_type]}")
        lines += [
            f"a=rtcp-fb:{payload_type} {kind}"
            for kind in FEEDBACK
            if kind in track.feedback and (f"{payload_type} {kind}" in feedback or f"* {kind}" in feedback)
        ]
    if track.reduced_size_rtcp:
        lines.append("a=rtcp-rsize")
    if track.transport_cc_id:
        lines.append(f"a=extmap:{track.transport_cc_id} {TRANSPORT_CC}")
    if track.abs_send_time_id:
        lines.append(f"a=extmap:{track.abs_send_time_id} {ABS_SEND_TIME}")
    return _Section(answer.kind, answer.protocol, formats, lines)


def _for_aiortc(lines: list[str], attributes: frozenset[str], takes_candidate: Callable[[str], bool]) -> list[str]:
    """Return the attributes that aiortc needs, a limited number of each."""
    kept: list[str] = []
    repeats: Counter[str] = Counter()
    for line in dict.fromkeys(lines):
        name, _, value = line[2:].partition(":")
        if not line.startswith("a=") or name not in attributes or len(line) > _LINE_LIMIT:
            continue
        repeats[name] += 1
        if takes_candidate(value) if name == "candidate" else repeats[name] <= _REPEATS_LIMIT:
            kept.append(line)
    return kept


def _never(_: str) -> bool:
    return False


def _placeholder(section: _Section) -> tuple[_Section, list[str], tuple[str, ...]]:
    """Return what aiortc gets for a refused section: an inactive one whose kind never changes."""
    kind = "video" if section.kind == "video" else "audio"
    lines = [line for line in section.lines if line not in {"a=sendrecv", "a=sendonly", "a=recvonly"}]
    return _Section(kind, _PROTOCOL, [], [*lines, "a=inactive"]), *_STAND_INS[kind]


def _is_payload_type(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and int(text) < 128


def _name(rtpmap: str) -> str:
    return rtpmap.partition("/")[0].lower()


def _parameters(fmtp: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in fmtp[:_LINE_LIMIT].split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()}
