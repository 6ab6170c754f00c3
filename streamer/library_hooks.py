"""Every private or undocumented name of a library that streamer relies on, held against the installed libraries.

A guard that uses such a name belongs to a row: what the library does, the version in which that was seen, and what lets
the guard go. `check_hooks` is called at first use. tests/contract checks the table, and that no other name is used.
"""

import functools
import importlib
import importlib.metadata
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from streamer.errors import IncompatibleLibraryError

User = Literal["rtc", "emulator", "signaling"]


@dataclass(frozen=True, slots=True)
class Hook:
    """What a library leaves open, and the names by which it is mended.

    A name is "module:Class.method(self parameter)", with all parameters in order, or "module:Class.attribute" for what
    the class or its `__init__` sets.
    """

    seen: str  # the library, and the version in which this was seen
    why: str  # what it does
    until: str  # what lets the guard go, and where that is discussed if anywhere
    names: tuple[str, ...]
    users: tuple[User, ...] = ("rtc",)


VERSIONS: Final = {  # those that were looked at
    "aiortc": "aiortc>=1.16,<1.17",
    "aioice": "aioice>=0.13,<0.14",
    "pylibsrtp": "pylibsrtp>=1.0,<1.1",
    "websockets": "websockets>=15",
}

HOOKS: Final = (
    Hook(
        "aiortc 1.16",
        "decodes what it receives into a queue without a bound, and hands out neither packets nor encoded frames",
        "aiortc hands out RTP packets or encoded frames: https://github.com/aiortc/aiortc/issues/55 (it advises to "
        "patch), https://github.com/aiortc/aiortc/issues/554",
        (
            "aiortc.rtcrtpreceiver:RTCRtpReceiver.receive(self parameters)",
            "aiortc.rtcicetransport:RTCIceTransport._connection",
            "aiortc.rtcdtlstransport:RTCDtlsTransport._tx_srtp",
            "aioice.ice:Connection.data_received(self data component)",
            "aioice.ice:Connection._protocols",
            "aioice.ice:Connection._queue",
        ),
        ("rtc", "emulator"),
    ),
    Hook(
        "aiortc 1.16",
        "exports the keys of SRTP from DTLS and keeps only the sessions that it makes of them",
        "aiortc gives the keys",
        (
            "aiortc.rtcdtlstransport:RTCDtlsTransport._setup_srtp(self)",
            "aiortc.rtcdtlstransport:RTCDtlsTransport._ssl",
            "aiortc.rtcdtlstransport:RTCDtlsTransport._srtp_profiles",
            "aiortc.rtcdtlstransport:RTCDtlsTransport._role",
            "aiortc.rtcdtlstransport:SRTPProtectionProfile.get_key_and_salt(self src idx)",
        ),
    ),
    Hook(
        "pylibsrtp 1.0",
        "needs three calls to decrypt a packet, and has no call for libsrtp's roll-over counters",
        "pylibsrtp decrypts in one call, tells libsrtp's status, and can set a roll-over counter: "
        "https://github.com/cisco/libsrtp/pull/289",
        (
            "pylibsrtp:Session.unprotect(self packet)",
            "pylibsrtp:Session._srtp",
            "pylibsrtp:Session._cdata",
            "pylibsrtp:Session._buffer",
            "pylibsrtp._binding:ffi.new",
            "pylibsrtp._binding:lib.srtp_unprotect",
            "pylibsrtp._binding:lib.srtp_unprotect_rtcp",
        ),
    ),
    Hook(
        "aiortc 1.16",
        "offers ciphers for ECDSA only: the handshake fails with a peer that has an RSA certificate",
        "aiortc offers ciphers for RSA: https://github.com/aiortc/aiortc/issues/1434, "
        "https://github.com/aiortc/aiortc/pull/1421",
        (
            "aiortc.rtcdtlstransport:RTCDtlsTransport._RTCDtlsTransport__local_certificate",
            "aiortc.rtcdtlstransport:RTCCertificate._create_ssl_context(self srtp_profiles)",
        ),
    ),
    Hook(
        "aioice 0.13",
        "asks the servers before it gives any candidate, asks one STUN and one TURN server, and leaves loopback out",
        "aioice trickles candidates, and takes several servers and the addresses to use: "
        "https://github.com/aiortc/aioice/issues/4, https://github.com/aiortc/aioice/issues/3, "
        "https://github.com/aiortc/aioice/issues/2",
        (
            "aioice.ice:Connection.gather_candidates(self)",
            "aioice.ice:Connection.get_component_candidates(self component addresses timeout)",
            "aioice.ice:Connection._local_candidates",
            "aioice.ice:Connection._local_candidates_start",
            "aioice.ice:Connection._local_candidates_end",
            "aioice.ice:Connection._transport_policy",
            "aioice.ice:Connection._closing",
            "aioice.ice:StunProtocol(receiver)",
            "aioice.ice:get_host_addresses(use_ipv4 use_ipv6)",
            "aioice.candidate:candidate_foundation(candidate_type candidate_transport base_address)",
        ),
        ("rtc", "emulator"),
    ),
    Hook(
        "aioice 0.13",
        "pairs only the local candidates that are there when it connects, and tells nobody a relay's own socket",
        "aioice trickles candidates: https://github.com/aiortc/aioice/issues/4",
        (
            "aioice.ice:Connection._pair_remote_candidate(self remote_candidate)",
            "aioice.ice:Connection._remote_candidates",
            "aioice.ice:Connection.sort_check_list(self)",
            "aioice.turn:TurnClientUdpProtocol(server username password lifetime channel_refresh_time)",
            "aioice.turn:TurnClientTcpProtocol(server username password lifetime channel_refresh_time)",
            "aioice.turn:TurnTransport._connect(self protocol)",
            "aioice.turn:TurnTransport._TurnTransport__inner_protocol",
        ),
    ),
    Hook(
        "aioice 0.13",
        "gives relays back one after another, and asks a TURN server that is gone for 39 s to take one back",
        "aioice closes within a second, whatever its servers do",
        (
            "aioice.ice:Connection.close(self)",
            "aioice.turn:TurnClientMixin.delete(self)",
        ),
    ),
    Hook(
        "aioice 0.13",
        "sleeps out the interval between two checks after the one that succeeded",
        "aioice connects as soon as a check succeeds",
        (
            "aioice.ice:Connection._check_periodic(self)",
            "aioice.ice:Connection._check_list",
        ),
    ),
    Hook(
        "aioice 0.13",
        "asks for consent every 5 s, tells nobody how long the answer took, and goes on for ever on a connection that "
        "is closed while it comes up",
        "aioice tells the times of consent checks, makes one when asked, and ends them with the connection",
        (
            "aioice.ice:Connection.query_consent(self)",
            "aioice.ice:Connection.build_request(self pair nominate)",
            "aioice.ice:Connection._nominated",
            "aioice.ice:StunProtocol.request(self request addr integrity_key retransmissions)",
        ),
        ("rtc", "emulator"),
    ),
    Hook(
        "aiortc 1.16",
        "goes on starting a transport that was closed meanwhile: its timers send into a closed one",
        "aiortc starts nothing after `close`: https://github.com/aiortc/aiortc/issues/1040",
        (
            "aiortc.rtcicetransport:RTCIceTransport.start(self remoteParameters)",
            "aiortc.rtcsctptransport:RTCSctpTransport.start(self remoteCaps remotePort)",
        ),
        ("rtc", "emulator"),
    ),
    Hook(
        "aioice 0.13",
        "raises on malformed datagrams, answers checks of anybody, and keeps candidates without a limit",
        "aioice catches what parsing raises (https://github.com/aiortc/aioice/issues/79 was one case), checks the "
        "signature of requests, and limits candidates",
        (
            "aioice.ice:StunProtocol.datagram_received(self data addr)",
            "aioice.turn:TurnClientMixin.datagram_received(self data addr)",
            "aioice.ice:Connection.request_received(self message addr protocol)",
            "aioice.ice:Connection.check_incoming(self message addr protocol)",
            "aioice.ice:Connection._valid_username(self username)",
        ),
    ),
    Hook(
        "aiortc 1.16",
        "keeps pieces of data channels' messages without a limit, and ends the connection at one that it cannot read",
        "aiortc limits what a data channel may hold, and closes the data channels alone",
        (
            "aiortc.rtcsctptransport:RTCSctpTransport._handle_data(self data)",
            "aiortc.rtcsctptransport:RTCSctpTransport._abort(self)",
            "aiortc.rtcsctptransport:RTCSctpTransport._set_state(self state)",
            "aiortc.rtcsctptransport:RTCSctpTransport._advertised_rwnd",
            "aiortc.rtcsctptransport:RTCSctpTransport._data_channels",
            "aiortc.rtcsctptransport:RTCSctpTransport._inbound_streams",
            "aiortc.rtcsctptransport:RTCSctpTransport._sack_misordered",
            "aiortc.rtcsctptransport:InboundStream()",
            "aiortc.rtcsctptransport:InboundStream.reassembly",
        ),
    ),
    Hook(
        "aiortc 1.16",
        "takes from the channel how a message travels, for all its messages alike, and tells nobody what has arrived",
        "aiortc takes it with each message, and tells what was acknowledged",
        (
            "aiortc.rtcsctptransport:RTCSctpTransport._data_channel_send(self channel data)",
            "aiortc.rtcsctptransport:RTCSctpTransport._local_tsn",
            "aiortc.rtcsctptransport:RTCSctpTransport._last_sacked_tsn",
            "aiortc.rtcdatachannel:RTCDataChannel._addBufferedAmount(self amount)",
        ),
    ),
    Hook(
        "aiortc 1.16",
        "passes requests for keyframes to its own encoder, which a track of encoded packets does not use, and reports "
        "when a packet was sent instead of when its frame was made",
        "aiortc hands both to the track",
        (
            "aiortc.rtcrtpsender:RTCRtpSender._send_keyframe(self)",
            "aiortc.rtcrtpsender:RTCRtpSender._RTCRtpSender__ntp_timestamp",
        ),
        ("emulator",),
    ),
    Hook(
        "aiortc 1.16",
        "packs and marks frames in one way, while the emulator has to pack them as other senders do",
        "the emulator packs its frames itself",
        (
            "aiortc.rtcrtpsender:RTCRtpSender._RTCRtpSender__encoder",
            "aiortc.rtcrtpsender:RTCRtpSender._ssrc",
            "aiortc.rtcdtlstransport:RTCDtlsTransport._send_rtp(self data)",
            "aiortc.codecs.h264:H264Encoder._split_bitstream(buf)",
            "aiortc.codecs.h264:H264Encoder._packetize(packages)",
        ),
        ("emulator",),
    ),
    Hook(
        "websockets 15",
        "takes any number of frames a second, follows redirects with the token in the URL, and stumbles over a "
        "connection that is lost before it is made",
        "websockets limits the rate of frames, can leave redirects alone, and has mended "
        "https://github.com/python-websockets/websockets/issues/1629",
        (
            "websockets.asyncio.connection:Connection.process_event(self event)",
            "websockets.asyncio.connection:Connection.connection_lost(self exc)",
            "websockets.asyncio.client:connect.process_redirect(self exc)",
        ),
        ("signaling",),
    ),
)


@functools.cache
def check_hooks(user: User) -> None:
    """Raise IncompatibleLibraryError, once and in one sentence, if an installed library is not the one we know."""
    for hook in HOOKS:
        if user in hook.users:
            for name in hook.names:
                _check(name)


def _check(name: str) -> None:
    if (found := found_as(name)) != name:
        library = name.partition(":")[0].partition(".")[0]
        raise IncompatibleLibraryError(
            f"expected {name.replace(' ', ', ')}, found {found.replace(' ', ', ') or 'nothing'} in "
            f"{library} {importlib.metadata.version(library)}: pip install '{VERSIONS[library]}'"
        )


def found_as(name: str) -> str:
    """Return a name of the table as the installed library has it; "" if it does not."""
    place, parenthesis, _ = name.partition("(")
    module_name, _, path = place.partition(":")
    *owners, last = path.split(".")
    try:
        owner: Any = functools.reduce(getattr, owners, importlib.import_module(module_name))
    except (ImportError, AttributeError):
        return ""
    if parenthesis:
        found = getattr(owner, last, None)
        return f"{place}({' '.join(inspect.signature(found).parameters)})" if callable(found) else ""
    made = getattr(getattr(owner, "__init__", None), "__code__", None)  # None: the class has no `__init__` of its own
    return place if hasattr(owner, last) or (made is not None and last in made.co_names) else ""


def shadow(target: object, method: str, replacement: Callable[..., Any]) -> None:
    """Replace a method of this one object; its class, and every other object of it, stay as they are."""
    vars(target)[method] = replacement
