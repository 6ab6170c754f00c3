"""The private names that this package relies on, held against the installed libraries at first use."""

import functools
import importlib
import importlib.metadata
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from streamer.errors import IncompatibleLibraryError


@dataclass(frozen=True, slots=True)
class Hook:
    """A private (or merely undocumented) callable that this package relies on."""

    name: str  # dotted
    parameters: str  # the names of its parameters, in order
    why: str
    since: str


VERSIONS: Final = ("aiortc>=1.16,<1.17", "aioice>=0.13,<0.14", "pylibsrtp>=1.0,<1.1")  # those that were looked at

HOOKS: Final = (
    Hook("aiortc.rtcrtpreceiver:RTCRtpReceiver.receive", "self parameters", "the moment SRTP is ready", "aiortc 1.16"),
    Hook("aiortc.rtcdtlstransport:RTCCertificate._create_ssl_context", "self srtp_profiles", "ciphers", "aiortc 1.16"),
    Hook(
        "aiortc.rtcdtlstransport:RTCDtlsTransport._setup_srtp", "self", "the key of the phone's packets", "aiortc 1.16"
    ),
    Hook(
        "aiortc.rtcdtlstransport:SRTPProtectionProfile.get_key_and_salt",
        "self src idx",
        "the key of the phone's packets",
        "aiortc 1.16",
    ),
    Hook("pylibsrtp:Session.unprotect", "self packet", "decrypting in one call, in its buffer", "pylibsrtp 1.0"),
    Hook("aioice.ice:Connection.data_received", "self data component", "datagrams that relays bring", "aioice 0.13"),
    Hook("aioice.ice:Connection.gather_candidates", "self", "answer before servers do", "aioice 0.13"),
    Hook("aioice.ice:Connection._check_periodic", "self", "connected as soon as a check succeeds", "aioice 0.13"),
    Hook("aioice.ice:Connection.query_consent", "self", "no task is left behind", "aioice 0.13"),
    Hook("aioice.ice:Connection.build_request", "self pair nominate", "asking a silent path", "aioice 0.13"),
    Hook(
        "aioice.ice:StunProtocol.request",
        "self request addr integrity_key retransmissions",
        "round-trip times; every STUN server",
        "aioice 0.13",
    ),
    Hook("aiortc.rtcicetransport:RTCIceTransport.start", "self remoteParameters", "closing in between", "aiortc 1.16"),
    Hook(
        "aiortc.rtcsctptransport:RTCSctpTransport.start",
        "self remoteCaps remotePort",
        "closing in between",
        "aiortc 1.16",
    ),
    Hook(
        "aiortc.rtcsctptransport:RTCSctpTransport._handle_data", "self data", "bounds of data channels", "aiortc 1.16"
    ),
    Hook("aiortc.rtcsctptransport:RTCSctpTransport._abort", "self", "bounds of data channels", "aiortc 1.16"),
    Hook("aiortc.rtcsctptransport:RTCSctpTransport._set_state", "self state", "bounds of data channels", "aiortc 1.16"),
    Hook("aiortc.rtcsctptransport:InboundStream", "", "bounds of data channels", "aiortc 1.16"),
    Hook("aioice.ice:Connection._pair_remote_candidate", "self remote_candidate", "pairs for a relay", "aioice 0.13"),
    Hook("aioice.ice:Connection.sort_check_list", "self", "pairs for a relay", "aioice 0.13"),
    Hook("aioice.ice:StunProtocol", "receiver", "a protocol for our own sockets", "aioice 0.13"),
    Hook("aioice.ice:StunProtocol.datagram_received", "self data addr", "datagrams that make no sense", "aioice 0.13"),
    Hook("aioice.ice:Connection.request_received", "self message addr protocol", "answering the phone", "aioice 0.13"),
    Hook("aioice.ice:Connection._valid_username", "self username", "answering the phone alone", "aioice 0.13"),
    Hook("aioice.ice:Connection.check_incoming", "self message addr protocol", "bounds", "aioice 0.13"),
    Hook(
        "aioice.candidate:candidate_foundation",
        "candidate_type candidate_transport base_address",
        "our own candidates",
        "aioice 0.13",
    ),
    Hook("aioice.ice:get_host_addresses", "use_ipv4 use_ipv6", "the machine's addresses", "aioice 0.13"),
    Hook("aioice.ice:Connection.close", "self", "giving all relays back at once", "aioice 0.13"),
    *(
        Hook(
            f"aioice.turn:{name}",
            "server username password lifetime channel_refresh_time",
            "every TURN server",
            "aioice 0.13",
        )
        for name in ("TurnClientUdpProtocol", "TurnClientTcpProtocol")
    ),
    Hook(
        "aioice.turn:TurnClientMixin.datagram_received",
        "self data addr",
        "datagrams that make no sense",
        "aioice 0.13",
    ),
    Hook("aioice.turn:TurnClientMixin.delete", "self", "giving a relay back within a second", "aioice 0.13"),
    Hook("aioice.turn:TurnTransport._connect", "self protocol", "every TURN server", "aioice 0.13"),
)


@functools.cache
def check_hooks() -> None:
    """Raise IncompatibleLibraryError, once and in one sentence, if an installed library is not the one we know."""
    for hook in HOOKS:
        module_name, _, path = hook.name.partition(":")
        try:
            found: Any = functools.reduce(getattr, path.split("."), importlib.import_module(module_name))
            parameters = " ".join(inspect.signature(found).parameters)
        except (ImportError, AttributeError):
            parameters = "nothing"
        if parameters != hook.parameters:
            versions = ", ".join(
                f"{name} {importlib.metadata.version(name)}" for name in ("aiortc", "aioice", "pylibsrtp")
            )
            raise IncompatibleLibraryError(
                f"expected {hook.name}({hook.parameters.replace(' ', ', ')}), found {parameters} in {versions}: "
                f"pip install {' '.join(map(repr, VERSIONS))}"
            )


def shadow(target: object, method: str, replacement: Callable[..., Any]) -> None:
    """Replace a method of this one object; its class, and every other object of it, stay as they are."""
    vars(target)[method] = replacement
