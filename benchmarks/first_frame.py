"""From nothing to the first frame, in a process of its own: by this package, or step by step by the plainest code.

argv: "streamer" or "plain". It reads where the phone is and prints what each step took. The plain client is a straight
line of blocking calls: what it waits for cannot be left out by anybody, and it does nothing else.
"""

import asyncio
import base64
import http.client
import json
import os
import re
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

import av
from aioice import stun
from aiortc.codecs.h264 import H264PayloadDescriptor
from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCCertificate
from av.codec.context import Flags
from OpenSSL import SSL
from pylibsrtp import Policy, Session

# Its names, and not the package alone: those are imported with their first use, when the clock runs already.
from streamer import Token, connect
from tests.support.processes import say

STEPS: Final = (
    "HTTP: auth",
    "WebSocket and Socket.IO: handshake, authorize, start",
    "init to offer (the phone's work)",
    "answer (with a certificate)",
    "ICE: the phone's checks are answered",
    "DTLS handshake and SRTP keys",
    "the first keyframe on the wire (drawn, encoded, sent)",
    "its decoding",
)


def plain(place: dict[str, str]) -> list[float]:
    """Return when each of `STEPS` was done, in seconds from the beginning."""
    begun = time.monotonic()
    steps = _plain_steps(place)
    return [time.monotonic() - begun for _ in steps]


def _plain_steps(place: dict[str, str]) -> Iterator[None]:
    data = _authorized(place)
    yield
    with _WebSocket(data) as websocket:
        websocket.wait_for("authorize")
        device_id = data["resource"]["device_id"]
        websocket.emit("start", {"room": device_id, "times": 0})
        stream_id = websocket.wait_for("start")["streamId"]
        yield
        websocket.emit("message", {"to": stream_id, "type": "init", "data": base64.b64encode(b"{}").decode()})
        offer = websocket.wait_for("message")["payload"]["sdp"]
        yield
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 0))
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * 1024 * 1024)
            udp.settimeout(5)
            certificate, password = RTCCertificate.generateCertificate(), secrets.token_hex(16)
            answer = _answer(offer, udp.getsockname(), certificate, password)
            websocket.emit("message", {"to": stream_id, "type": "answer", "payload": {"type": "answer", "sdp": answer}})
            yield
            phone = _nominated(udp, password)
            yield
            srtp = _keyed(udp, phone, certificate)
            yield
            unit = _keyframe(udp, srtp, re.search(r"a=rtpmap:(\d+) H264", offer)[1])  # type: ignore[index]
            yield
            decoder = av.VideoCodecContext.create("h264", "r")
            decoder.thread_count = 1
            decoder.flags |= Flags.low_delay
            if not decoder.decode(av.Packet(unit)):
                raise SystemExit("the first keyframe gave no frame")
            yield


def _authorized(place: dict[str, str]) -> Any:
    api = http.client.HTTPConnection(urlsplit(place["endpoint"]).netloc)
    headers = {"x-auth-token": place["token"], "x-request-id": "1"}
    api.request("POST", f"/v1/instances/{place['instance']}/auth?stream_type=2", headers=headers)
    return json.loads(api.getresponse().read())["data"]


class _WebSocket:
    """A WebSocket with Socket.IO 2 events on it, and nothing that this exchange does not need."""

    def __init__(self, data: Any) -> None:
        where = urlsplit(data["resource"]["rtc"]["ice_signaling"]["signaling_url"])
        token = data["device_token"]
        query = {"EIO": 3, "transport": "websocket", "boxid": data["resource"]["device_id"], "token": token}
        self._socket = socket.create_connection((where.hostname or "", where.port or 80))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._socket.sendall(
            f"GET /socket.io/?{urlencode(query)} HTTP/1.1\r\nHost: {where.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n".encode()
        )
        while self._file.readline() != b"\r\n":
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def wait_for(self, event: str) -> Any:
        """Return the payload of the next such event."""
        while True:
            size = self._file.read(2)[1]
            size = size if size < 126 else int.from_bytes(self._file.read(2 if size == 126 else 8))
            frame = self._file.read(size).decode()
            if frame.startswith("42") and (found := json.loads(frame[2:]))[0] == event:
                return found[1]

    def emit(self, event: str, payload: Any) -> None:
        """Send an event, masked with zeros."""
        data = f"42{json.dumps([event, payload])}".encode()
        size = bytes((0x80 | len(data),)) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2)
        self._socket.sendall(b"\x81" + size + bytes(4) + data)


def _answer(offer: str, address: tuple[str, int], certificate: RTCCertificate, password: str) -> str:
    fingerprint = next(found for found in certificate.getFingerprints() if found.algorithm == "sha-256")
    common = [
        "c=IN IP4 127.0.0.1",
        f"a=candidate:1 1 udp 2130706431 {address[0]} {address[1]} typ host",
        "a=ice-ufrag:plain",
        f"a=ice-pwd:{password}",
        f"a=fingerprint:sha-256 {fingerprint.value}",
        "a=setup:active",
    ]
    lines = []
    kept = ("v=", "o=", "s=", "t=", "a=group:", "m=", "a=mid:", "a=rtcp-mux", "a=rtpmap:", "a=fmtp:", "a=sctp-port:")
    for line in offer.splitlines():
        if line.startswith(kept):
            lines.append(line)
        if line.startswith("m="):
            lines += common
        if line == "a=sendonly":
            lines.append("a=recvonly")
    return "".join(f"{line}\r\n" for line in lines)


def _nominated(udp: socket.socket, password: str) -> tuple[str, int]:
    """Answer checks until one nominates; return the phone's address."""
    while True:
        data, address = udp.recvfrom(2048)
        request = stun.parse_message(data)
        response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
        response.attributes["XOR-MAPPED-ADDRESS"] = address
        response.add_message_integrity(password.encode())
        udp.sendto(bytes(response), address)
        if "USE-CANDIDATE" in request.attributes:
            return str(address[0]), int(address[1])


def _keyed(udp: socket.socket, phone: tuple[str, int], certificate: RTCCertificate) -> Session:
    """Shake hands, as the client; return what decrypts the phone's packets."""
    tls = SSL.Connection(certificate._create_ssl_context(SRTP_PROFILES))
    tls.set_ciphertext_mtu(1200)
    tls.set_connect_state()
    while True:
        try:
            tls.do_handshake()
        except SSL.WantReadError:
            _flush(tls, udp, phone)
            while not 19 < (data := udp.recv(2048))[0] < 64:
                pass
            tls.bio_write(data)
        else:
            _flush(tls, udp, phone)
            break
    profile = next(found for found in SRTP_PROFILES if found.openssl_profile == tls.get_selected_srtp_profile())
    keys = tls.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (profile.key_length + profile.salt_length))
    key = profile.get_key_and_salt(keys, 1)
    return Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile.libsrtp_profile))


def _flush(tls: SSL.Connection, udp: socket.socket, phone: tuple[str, int]) -> None:
    while True:
        try:
            udp.sendto(tls.bio_read(1500), phone)
        except SSL.WantReadError:
            return


def _keyframe(udp: socket.socket, srtp: Session, payload_type: str) -> bytes:
    """Return the first access unit of video, Annex B."""
    unit = b""
    while True:
        data = udp.recv(2048)
        if not 127 < data[0] < 192 or data[1] & 0x7F != int(payload_type):
            continue
        packet = srtp.unprotect(data)
        start = 12 + 4 * (packet[0] & 0x0F)
        if packet[0] & 0x10:
            start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4])
        unit += H264PayloadDescriptor.parse(packet[start:])[1]
        if packet[1] & 0x80:
            return unit


async def by_streamer(place: dict[str, str]) -> list[float]:
    """Return when the connection was there, and when the first frame was, in seconds from the beginning."""
    begun = time.monotonic()
    async with connect(place["instance"], endpoint=place["endpoint"], credentials=Token(place["token"])) as phone:
        connected = time.monotonic() - begun
        async for _ in phone:
            return [connected, time.monotonic() - begun]
    raise SystemExit("the stream ended before its first frame")


def main(how: str) -> None:
    """Get the first frame twice: a process that has just begun loads things late."""
    place = json.loads(sys.stdin.readline())
    say([asyncio.run(by_streamer(place)) if how == "streamer" else plain(place) for _ in range(2)])


if __name__ == "__main__":
    main(sys.argv[1])
