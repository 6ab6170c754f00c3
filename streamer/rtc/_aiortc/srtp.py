"""Decrypts incoming SRTP in one call, limits its sources, and finds a source again after a jump of packet numbers.

libsrtp 2 leaves three problems, and pylibsrtp 1.0 has no call for them:

- It keeps a stream for each SSRC that authenticates, and searches all of them for each packet. So the session here
  knows only the SSRCs that it was told. A second session, which accepts any SSRC, decides about the others.
- It assumes that a packet is the nearest one with its 16-bit number (RFC 3711 section 3.3.1). After a gap of more than
  2^15 packets it is wrong by a roll-over or more, and refuses all later packets, for ever. See `_Search`.
- It does not count what it refuses. This module counts refused packets; an accepted packet costs nothing extra.
"""

import logging
import struct
import time
from collections.abc import Callable, Container
from typing import Any, Final, Literal, TypeAlias

import pylibsrtp
from aiortc import RTCDtlsTransport
from pylibsrtp._binding import ffi, lib

from streamer.rtc.refusals import Refusals

_logger = logging.getLogger("streamer.rtc")

SOURCES_LIMIT: Final = 256  # SSRCs of one transport over its whole life; beyond it the transport ends
ROLLOVERS_LIMIT: Final = 1 << 12  # 2^28 packets; beyond that, only another connection helps
_ROLLOVERS: Final = 16  # at least so many are tried
_NEW_SOURCE_ROLLOVERS: Final = 2  # for a source whose first packets were lost at a roll-over
_ROLLOVER_NS: Final = 5_000_000_000  # no phone sends 65536 packets faster than this
_SLICE: Final = 64  # roll-overs tried at a time, some 2 ms
_SLICE_EVERY_NS: Final = 20_000_000
_PARTS: Final = 3  # steps of less than 2^15 to the same number after the next roll-over
# libsrtp's srtp_err_status_t
_REPLAYED: Final = frozenset({9, 10})
_NO_STREAM: Final = 13
_TOO_LONG: Final = 21

Reason: TypeAlias = Literal["authentication", "replay"]
Decrypt: TypeAlias = Callable[[bytes], bytes | None]


def decrypter(
    session: pylibsrtp.Session, refuse: Callable[[bytes, int], bytes | None], *, rtcp: bool = False
) -> Decrypt:
    """Return `session.unprotect` (or `unprotect_rtcp`) as one call instead of three.

    If libsrtp refuses a datagram, it returns `refuse(datagram, status)`, with libsrtp's status. It uses the session's
    own buffer: do not use two decrypters of a session at the same time.
    """
    decrypt = lib.srtp_unprotect_rtcp if rtcp else lib.srtp_unprotect
    owner, memory, buffer = session._srtp, session._cdata, session._buffer
    size_pointer, capacity = ffi.new("int *"), len(memory)

    def unprotect(datagram: bytes) -> bytes | None:
        size = size_pointer[0] = len(datagram)
        if size > capacity:
            return refuse(datagram, _TOO_LONG)
        buffer[0:size] = datagram
        # Through the owner, which keeps libsrtp's session alive.
        status = decrypt(owner[0], memory, size_pointer)
        return buffer[0 : size_pointer[0]] if status == 0 else refuse(datagram, status)

    return unprotect


def phone_policy(transport: RTCDtlsTransport) -> Callable[[int, int], pylibsrtp.Policy]:
    """Return a function from an SSRC type and an SSRC to a policy with the key of the phone's packets.

    It exports the key from DTLS as aiortc 1.16 does (`RTCDtlsTransport._setup_srtp`), because aiortc does not keep it.
    """
    dtls: Any = transport
    chosen = dtls._ssl.get_selected_srtp_profile()
    profile = next(profile for profile in dtls._srtp_profiles if profile.openssl_profile == chosen)
    material = dtls._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (profile.key_length + profile.salt_length))
    key = profile.get_key_and_salt(material, 0 if dtls._role == "server" else 1)

    def policy(ssrc_type: int, ssrc: int) -> pylibsrtp.Policy:
        made = pylibsrtp.Policy(key=key, ssrc_type=ssrc_type, ssrc_value=ssrc, srtp_profile=profile.libsrtp_profile)
        made.window_size = 1024
        made.allow_repeat_tx = True
        return made

    return policy


class Inbound:
    """The incoming packets of one transport. `unprotect` and `unprotect_rtcp` return None for a refused packet.

    `offered` are the SSRCs that the phone's latest offer names; the owner keeps them up to date. `on_refused` gets the
    reason for each refused packet. `on_resumed` gets a sentence when a source was found again after a jump.
    `on_exhausted` is called when there are more than SOURCES_LIMIT sources.
    """

    def __init__(
        self,
        policy: Callable[[int, int], pylibsrtp.Policy],
        *,
        offered: Container[int],
        on_refused: Callable[[Reason], None],
        on_resumed: Callable[[str], None],
        on_exhausted: Callable[[], None],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.refusals = Refusals()
        self._offered = offered
        self._policy = policy
        self._on_refused = on_refused
        self._on_resumed = on_resumed
        self._on_exhausted = on_exhausted
        self._clock = clock
        self._begun_ns = clock()
        self._sources: set[int] = set()
        self._session = pylibsrtp.Session()
        self._any = pylibsrtp.Session(policy(pylibsrtp.Policy.SSRC_ANY_INBOUND, 0))
        self._search: _Search | None = None
        self._next_slice_ns = {True: 0, False: 0}  # when a search for a known and for an unknown source may continue
        self.unprotect: Final = decrypter(self._session, self._refuse)
        self.unprotect_rtcp: Final = decrypter(self._session, self._refuse_rtcp, rtcp=True)
        self._again: Final = decrypter(self._session, _none)
        self._rtcp_again: Final = decrypter(self._session, _none, rtcp=True)
        self._ask: Final = decrypter(self._any, _none)
        self._ask_rtcp: Final = decrypter(self._any, _none, rtcp=True)

    def note_accepted(self, packets: list[bytes]) -> None:
        """Note a burst of accepted packets. Needed only while `refusals.any`."""
        self.refusals.accepted({int.from_bytes(packet[8:12]) for packet in packets})
        if self._search is not None and not self.refusals.any:
            self._search = None

    def refused_since_ns(self, now_ns: int) -> int | None:
        """Return since when all the phone's packets are refused; None if they are not."""
        return self.refusals.since_ns(now_ns)

    def _refuse(self, datagram: bytes, status: int) -> bytes | None:
        ssrc = int.from_bytes(datagram[8:12])
        if self._is_of_new_source(datagram, ssrc, status, self._ask):
            return self._again(datagram)
        if len(datagram) < 12 or status == _TOO_LONG:
            return None
        now_ns = self._clock()
        is_known = ssrc in self._sources or ssrc in self._offered
        lasts = self.refusals.refused(ssrc, now_ns, is_known=is_known)
        return self._seek(datagram, ssrc, now_ns) if lasts else None

    def _refuse_rtcp(self, datagram: bytes, status: int) -> bytes | None:
        is_new = self._is_of_new_source(datagram, int.from_bytes(datagram[4:8]), status, self._ask_rtcp)
        return self._rtcp_again(datagram) if is_new else None

    def _is_of_new_source(self, datagram: bytes, ssrc: int, status: int, ask: Decrypt) -> bool:
        """Admit a new source if its packet authenticates, or report the refusal; return whether it was admitted."""
        if status == _NO_STREAM and ask(datagram) is not None:
            self._any.remove_stream(ssrc)
            if self._admit(ssrc):
                return True
        self._on_refused("replay" if status in _REPLAYED else "authentication")
        return False

    def _admit(self, ssrc: int) -> bool:
        """Add a source that authenticated, unless there are too many."""
        if len(self._sources) >= SOURCES_LIMIT:
            self._on_exhausted()
            return False
        self._sources.add(ssrc)
        self._session.add_stream(self._policy(pylibsrtp.Policy.SSRC_SPECIFIC, ssrc))
        return True

    def _seek(self, datagram: bytes, ssrc: int, now_ns: int) -> bytes | None:
        """Continue the search for a source's roll-over; return the packet when it can be decrypted."""
        is_known = ssrc in self._sources
        if now_ns < self._next_slice_ns[is_known]:
            return None
        search = self._search
        if search is None or (is_known and search.ssrc not in self._sources):
            rollovers = _ROLLOVERS + (now_ns - self._begun_ns) // _ROLLOVER_NS if is_known else _NEW_SOURCE_ROLLOVERS
            search = self._search = _Search(self._policy, datagram, ssrc, min(rollovers, ROLLOVERS_LIMIT))
        if search.ssrc != ssrc:
            return None
        self._next_slice_ns[is_known] = now_ns + _SLICE_EVERY_NS
        search.advance(_SLICE)
        if not search.is_over:
            return None
        self._search = None
        if not search.has_found or not (is_known or self._admit(ssrc)):
            return None
        for forged in search.walk:
            self._again(forged)
        packet = self._again(search.datagram)
        if packet is None:
            return None  # an old packet: the walk ended before the source's current place
        _logger.debug("= SSRC %08x found again at roll-over %d", ssrc, search.rollovers)
        self._on_resumed("the phone's packet numbers jumped, and its packets were refused: they are accepted again")
        return packet if datagram is search.datagram else self._again(datagram)


class _Search:
    """Finds the roll-over counter with which a refused packet authenticates.

    pylibsrtp cannot set the counter, but packets move it. The search forges packets with the phone's key, in steps of
    less than 2^15. A session of its own follows them from one roll-over to the next, until it accepts the refused
    packet: that proves the source's place. Then the session in use takes the same `walk`. It refuses the forged packets
    up to its own place, and follows the others. It moves at most to the proven packet, and never back.
    """

    def __init__(
        self, policy: Callable[[int, int], pylibsrtp.Policy], datagram: bytes, ssrc: int, rollovers_limit: int
    ) -> None:
        self.datagram: Final = datagram
        self.ssrc: Final = ssrc
        self.walk: list[bytes] = []
        self.rollovers = 0
        self.is_over = False
        self.has_found = False
        self._limit = rollovers_limit
        self._number = int.from_bytes(datagram[2:4])
        self._forge = pylibsrtp.Session(policy(pylibsrtp.Policy.SSRC_ANY_OUTBOUND, 0))
        self._follow = decrypter(pylibsrtp.Session(policy(pylibsrtp.Policy.SSRC_ANY_INBOUND, 0)), _none)

    def advance(self, steps: int) -> None:
        """Try `steps` more roll-overs."""
        for _ in range(steps):
            self.has_found = self._follow(self.datagram) is not None
            self.is_over = self.has_found or self.rollovers >= self._limit
            if self.is_over:
                return
            if not self.walk:
                self._step(self._number)
            for part in range(1, _PARTS + 1):
                self._step(self._number + part * 0xFFFF // _PARTS)
            self.rollovers += 1

    def _step(self, number: int) -> None:
        header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, 0, self.ssrc)
        forged = self._forge.protect(header + b"\0")
        self.walk.append(forged)
        self._follow(forged)


def _none(_datagram: bytes, _status: int) -> None:
    return None
