"""SRTP as it comes: decrypted in one call, with a bound on its sources, and found again after a jump.

libsrtp 2 leaves three things open, and pylibsrtp 1.0 has no call for them:

- It keeps a stream for each SSRC that authenticates, and looks through all of them for each packet. So the session here
  knows only the SSRCs that it was told, and a second one, which takes any, is asked about the others.
- It takes a packet for the nearest one with its 16-bit number (RFC 3711 section 3.3.1). After a gap of more than 2^15
  packets it is wrong by a roll-over or more, and refuses all that follows, for ever. See `_Search`.
- What it refuses, nobody counts. That happens here, where a packet was refused: one that is accepted costs nothing.
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

SOURCES_LIMIT: Final = 256  # SSRCs of one transport, over its whole life; then it ends
ROLLOVERS_LIMIT: Final = 1 << 12  # 2^28 packets; beyond that, only another connection helps
_ROLLOVERS: Final = 16  # tried at the least
_NEW_SOURCE_ROLLOVERS: Final = 2  # of a source whose first packets were lost where its numbers roll over
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

    What libsrtp refuses goes to `refuse`, with libsrtp's status, and what that returns is returned. The session's own
    buffer is shared: two of its decrypters are not used at the same time.
    """
    decrypt = lib.srtp_unprotect_rtcp if rtcp else lib.srtp_unprotect
    owner, memory, buffer = session._srtp, session._cdata, session._buffer
    size_pointer, capacity = ffi.new("int *"), len(memory)

    def unprotect(datagram: bytes) -> bytes | None:
        size = size_pointer[0] = len(datagram)
        if size > capacity:
            return refuse(datagram, _TOO_LONG)
        buffer[0:size] = datagram
        # Through the owner: libsrtp's session lives as long as that does.
        status = decrypt(owner[0], memory, size_pointer)
        return buffer[0 : size_pointer[0]] if status == 0 else refuse(datagram, status)

    return unprotect


def phone_policy(transport: RTCDtlsTransport) -> Callable[[int, int], pylibsrtp.Policy]:
    """Return a function from an SSRC type and an SSRC to a policy with the key of the phone's packets.

    The key is exported from DTLS as aiortc 1.16 does it (`RTCDtlsTransport._setup_srtp`), which does not keep it.
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
    """What comes on one transport. `unprotect` and `unprotect_rtcp` return None for what is refused.

    `offered` are the SSRCs that the phone's latest offer names; the owner keeps them up to date.
    `on_refused` gets why, for each refused packet. `on_resumed` gets a sentence when a source was found again after a
    jump. `on_exhausted` is called when there are more than SOURCES_LIMIT sources.
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
        self._next_slice_ns = {True: 0, False: 0}  # when searches for known and for unknown sources may go on
        self.unprotect: Final = decrypter(self._session, self._refuse)
        self.unprotect_rtcp: Final = decrypter(self._session, self._refuse_rtcp, rtcp=True)
        self._again: Final = decrypter(self._session, _none)
        self._rtcp_again: Final = decrypter(self._session, _none, rtcp=True)
        self._ask: Final = decrypter(self._any, _none)
        self._ask_rtcp: Final = decrypter(self._any, _none, rtcp=True)

    def note_accepted(self, packets: list[bytes]) -> None:
        """Take a burst of accepted packets. Needed only while `refusals.any`."""
        self.refusals.accepted({int.from_bytes(packet[8:12]) for packet in packets})
        if self._search is not None and not self.refusals.any:
            self._search = None

    def refused_since_ns(self, now_ns: int) -> int | None:
        """Return since when the phone's packets are only refused; None if they are not."""
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
        """Whether a packet authenticates for a source that was not known and now is; note the refusal if not."""
        if status == _NO_STREAM and ask(datagram) is not None:
            self._any.remove_stream(ssrc)
            if self._admit(ssrc):
                return True
        self._on_refused("replay" if status in _REPLAYED else "authentication")
        return False

    def _admit(self, ssrc: int) -> bool:
        """Take a source that authenticated, if there is room."""
        if len(self._sources) >= SOURCES_LIMIT:
            self._on_exhausted()
            return False
        self._sources.add(ssrc)
        self._session.add_stream(self._policy(pylibsrtp.Policy.SSRC_SPECIFIC, ssrc))
        return True

    def _seek(self, datagram: bytes, ssrc: int, now_ns: int) -> bytes | None:
        """Go on looking for the roll-over of a source; return the packet once it can be read."""
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
            return None  # it is an old one: the walk ended before the place where the source is
        _logger.debug("= SSRC %08x found again at roll-over %d", ssrc, search.rollovers)
        self._on_resumed("the phone's packet numbers jumped, and its packets were refused: they are accepted again")
        return packet if datagram is search.datagram else self._again(datagram)


class _Search:
    """Find the roll-over counter with which a refused packet authenticates.

    pylibsrtp cannot set the counter, but packets move it. So packets are forged with the phone's key, in steps of less
    than 2^15, and a session of its own follows them from one roll-over to the next, until it accepts the packet. That
    proves where the source is. The session in use is then led along the same `walk`: it refuses the forged packets up
    to where it stands, and follows the others. It gets no further than to the packet that was proven, and never back.
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
        """Try so many roll-overs more."""
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
