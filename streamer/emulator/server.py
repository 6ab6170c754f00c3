"""The emulator: auth API, signaling server and WebRTC, put together."""

import asyncio
import base64
import contextlib
import json
import logging
import secrets
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket

from streamer.emulator.api import ApiServer, Reply, Request
from streamer.emulator.faults import Faults
from streamer.emulator.json_text import parse_json
from streamer.emulator.media import PhoneMedia
from streamer.emulator.peer import PhonePeer
from streamer.emulator.provisioning import Lifecycle
from streamer.emulator.socketio import ServerSocket
from streamer.errors import ConfigurationError
from streamer.proxies import is_loopback
from streamer.wire import (
    AUTHORIZE_INVALID_TOKEN,
    AUTHORIZE_OK,
    AUTHORIZE_TOKEN_EXPIRED,
    CLOSE_TAKEN_OVER,
    CLOSE_TRIAL_OVER,
    CLOSE_USER_LEFT,
    PREPARE_PATH,
    PROGRESS_PATH,
    RELEASE_PATH,
    REQUEST_ID_HEADER,
    SOCKETIO_PATH,
    STOP_PATH,
    TENANT_TOKEN_HEADER,
)

_logger = logging.getLogger("streamer.emulator")
# websockets logs request lines, and a client's carries its device token.
_silent = logging.getLogger("streamer.emulator.websocket")
_silent.addFilter(lambda _: False)

TOKEN_LEAST: Final = 16  # characters of a tenant token that others could guess at
UNAUTHORIZED_S: Final = 30.0  # a client that is not authorized is sent away after so long
CLIENTS_LIMIT: Final = 32  # WebSockets at once, whether or not they stream; one more is refused
TOKENS_LIMIT: Final = 1000  # device tokens that were given out; the oldest are forgotten
INPUTS_LIMIT: Final = 1000  # input frames that are remembered; the oldest are forgotten
SIDES: Final = range(90, 4097, 2)  # pixels: the strip needs the least, the encoder even ones
_LIFECYCLE: Final = {PREPARE_PATH, PROGRESS_PATH, STOP_PATH, RELEASE_PATH}
_MESSAGE_LIMIT: Final = 1_000_000  # bytes, as the real server's


class EmulatedPhone:
    """A running emulated phone; `serve` makes it. Everything about it may be changed while it runs.

    Attributes:
        endpoint: The API's base URL.
        instance_id: The phone's instance id.
        tenant_token: The token that clients bring.
        device_id: The phone's device id.
        signaling_url: The signaling server's URL.
        faults: What goes wrong now; change a field at any time.
        expires_in_s: After how many seconds a stream is closed; None is never.
        inputs: The last 1000 input frames that came, decoded.
        on_client: Called with a line of text for each client that comes and goes.
    """

    def __init__(
        self,
        *,
        host: str,
        media: PhoneMedia,
        faults: Faults,
        instance_id: str,
        tenant_token: str | None,
        announce_input: bool,
        allow_many: bool,
        token_lifetime_s: float,
        expires_in_s: float | None,
        ice_servers: list[Any],
        ping_interval_s: float,
        ping_timeout_s: float,
        prepare_s: float,
        session_lingers_s: float,
    ) -> None:
        self.endpoint = ""
        self.signaling_url = ""
        self.instance_id = instance_id
        self.device_id = f"box-{instance_id}"
        self.tenant_token = tenant_token or secrets.token_urlsafe(24)
        self.faults = faults
        self.media = media
        self.inputs: deque[dict[str, Any]] = deque(maxlen=INPUTS_LIMIT)
        self.on_client: Callable[[str], None] = lambda _: None  # hears in a line of each client that comes and goes
        self.clients: set[_Client] = set()
        self._came = 0
        self.device_tokens: dict[str, float] = {}  # → when each expires, monotonic seconds
        self._host = host
        self._announce_input = announce_input
        self._allow_many = allow_many
        self._token_lifetime_s = token_lifetime_s
        self.expires_in_s = expires_in_s
        self._ice_servers = ice_servers
        self._ping_interval_s = ping_interval_s
        self._ping_timeout_s = ping_timeout_s
        self._auth_faults = 0
        self._token_faults = 0
        self.lifecycle = Lifecycle(
            instance_id, prepare_s=prepare_s, lingers_s=session_lingers_s, faults=faults, stop=self._stop_streams
        )
        self._stopping: set[asyncio.Task[None]] = set()
        self._lingering: set[_Client] = set()  # their streams go on without signaling

    @property
    def frames_sent(self) -> int:
        """How many frames were drawn: the next one's counter."""
        return self.media.frames_sent

    @property
    def keyframe_requests(self) -> int:
        """How often clients asked for a keyframe."""
        return self.media.keyframe_requests

    def go_still(self) -> None:
        """Send no more frames, as a screen on which nothing changes."""
        self.media.is_still = True

    def wake(self) -> None:
        """Send frames again."""
        self.media.is_still = False

    def rotate(self) -> None:
        """Turn the phone by a quarter: the frame's width and height change places, without a new offer."""
        self.media.rotate()

    def set_fps(self, fps: int) -> None:
        """Send so many frames a second."""
        self.media.fps = fps

    async def push_offer(self) -> None:
        """Send every client another offer."""
        for client in list(self.clients):
            await client.offer()

    async def close_clients(self, reason: str) -> None:
        """End every client's stream for a reason, such as "1402"."""
        await asyncio.gather(*(client.end(reason) for client in self.clients))

    async def cut_signaling(self) -> None:
        """Reset every client's WebSocket without a word; the stream ends with it, or lingers as `faults` have it."""
        for client in list(self.clients):
            await client.socket.cut()

    def cut_path(self) -> None:
        """Lose every datagram to and from the clients of now, until `mend_path`."""
        for client in self.clients:
            if client.peer is not None:
                client.peer.path.is_cut = True

    def mend_path(self) -> None:
        """Let datagrams pass again."""
        for client in self.clients:
            if client.peer is not None:
                client.peer.path.is_cut = False

    def move_clients(self) -> None:
        """Let every client of now have another address, as behind a router that forgets it; the former one is gone."""
        for client in self.clients:
            if client.peer is not None:
                client.peer.path.has_moved = True

    async def restart_ice(self) -> None:
        """Send every client an offer that restarts ICE: the stream moves to another path once that is up."""
        for client in list(self.clients):
            await client.restart_ice()

    async def restart(self) -> None:
        """Drop every client without a word and forget the device tokens, as a phone that restarts does."""
        self.device_tokens.clear()
        self.cut_path()
        await self.cut_signaling()

    def answer(self, request: Request) -> Reply:
        """Answer a call of the API."""
        prefix, separator, rest = request.path.partition("/v1/instances/")
        instance_id, _, verb = rest.partition("/")
        path = separator + rest
        if (verb != "auth" and path not in _LIFECYCLE) or prefix.count("/") > 3:
            return Reply(404, {"error_code": "APIGW.0101", "error_msg": "The API does not exist."})
        if request.method != "POST":
            return Reply(405, {"error_code": "APIGW.0101", "error_msg": "The API does not take this method."})
        token = request.headers.get(TENANT_TOKEN_HEADER, "")
        if not secrets.compare_digest(token.encode(), self.tenant_token.encode()):
            return Reply(401, {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information."})
        if REQUEST_ID_HEADER not in request.headers:
            return Reply(200, {"error_code": "KOOPHONE.API.0002", "error_msg": "x-request-id is missing"})
        if path in _LIFECYCLE:
            return self.lifecycle.answer(path, request.body)
        if (fault := self._auth_fault()) is not None:
            return fault
        if instance_id != self.instance_id:
            return Reply(200, {"error_code": "KOOPHONE.API.1012", "error_msg": "the instance is not yours"})
        return self.lifecycle.refusal() or self._shape(self._ticket(self._signaling_url_for(request)))

    def _stop_streams(self) -> None:
        if self._stopping:
            return
        task = asyncio.create_task(self.close_clients(str(CLOSE_USER_LEFT)), name="phone: streaming/stop")
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def close(self) -> None:
        """Let go of every client."""
        for client in self._lingering:
            client.is_done.set()
        await asyncio.gather(*self._stopping, *(client.close() for client in list(self.clients)))

    def _auth_fault(self) -> Reply | None:
        faults = self.faults
        if not (faults.auth_code or faults.auth_status != 200 or faults.auth_body in {"html", "empty", "silence"}):
            return None
        self._auth_faults += 1
        if faults.auth_times and self._auth_faults > faults.auth_times:
            return None
        if faults.auth_body == "html":
            return Reply(faults.auth_status, b"<html><body>Bad gateway</body></html>", "text/html")
        if faults.auth_body == "empty":
            return Reply(faults.auth_status, b"")
        if faults.auth_body == "silence":
            return Reply(faults.auth_status, b"", is_silent=True)
        body = {"error_code": faults.auth_code, "error_msg": "as injected"} if faults.auth_code else {}
        return Reply(faults.auth_status, body)

    def _signaling_url_for(self, request: Request) -> str:
        """Return the URL as a client can reach it: listening everywhere, by the name by which it reached the API."""
        name = None
        with contextlib.suppress(ValueError):
            name = urlsplit(f"//{request.headers.get('host', '')}").hostname
        if self._host not in _EVERYWHERE or not name:
            return self.signaling_url
        return f"http://{_in_url(name)}:{urlsplit(self.signaling_url).port}"

    def _ticket(self, signaling_url: str) -> dict[str, Any]:
        token = secrets.token_urlsafe(32)
        self.device_tokens[token] = time.monotonic() + self._token_lifetime_s
        while len(self.device_tokens) > TOKENS_LIMIT:
            del self.device_tokens[next(iter(self.device_tokens))]
        return {
            "data": {
                "device_token": token,
                "streamingId": str(uuid.uuid4()),
                "resource": {
                    "device_id": self.device_id,
                    "kp_id": self.instance_id,
                    "sdk": {
                        "internal": {"address": "192.168.0.12", "aport": "10030", "atype": "1", "address_ipv6": None},
                        "external": {"address": "10.83.71.187", "aport": 10030, "atype": 1, "address_ipv6": None},
                    },
                    "rtc": {
                        "ice_signaling": {
                            "signaling_url": signaling_url,
                            "expired_time": None if self.expires_in_s is None else f"{self.expires_in_s:g}",
                            "ice_servers": self._ice_servers,
                        }
                    },
                },
            },
            "error_code": "0",
            "error_msg": "success",
        }

    def _shape(self, reply: dict[str, Any]) -> Reply:
        resource = reply["data"]["resource"]
        match self.faults.auth_body:
            case "flat":
                resource["rtc"] = resource["rtc"]["ice_signaling"]
            case "nulls":
                resource.update(sdk=None, kp_id=None)
                reply["data"]["streamingId"] = None
                resource["rtc"]["ice_signaling"].update(expired_time=None, ice_servers=None)
            case "truncated":
                return Reply(200, reply, truncated=True)
        return Reply(200, reply)

    async def accept(self, websocket: ServerConnection) -> None:
        """Serve one client's WebSocket to its end."""
        socket = ServerSocket(websocket, ping_interval_s=self._ping_interval_s, ping_timeout_s=self._ping_timeout_s)
        path, _, parameters = (websocket.request.path if websocket.request is not None else "").partition("?")
        query = {name: values[0] for name, values in parse_qs(parameters).items()}
        if path != SOCKETIO_PATH or query.get("EIO") != "3":
            await socket.close(1008, "unknown transport")
            return
        if len(self.clients) >= CLIENTS_LIMIT:
            await socket.open()
            await socket.refuse(
                f"this phone serves {CLIENTS_LIMIT} clients at once, and they are here: leave with one first"
            )
            await socket.close(1013, "too many clients")
            return
        self._came += 1
        client = _Client(self, socket, query, number=self._came)
        self.clients.add(client)
        client.tell(f"connected from {_address(websocket)}")
        try:
            await client.run()
        finally:
            self.clients.discard(client)
            client.tell_end()
            if client.peer is not None:
                self.lifecycle.ended(client.began_at)
            try:
                await self._linger(client)
            finally:
                await client.close()

    async def _linger(self, client: "_Client") -> None:
        """Let a stream go on without its signaling, if `faults` say so."""
        if client.peer is None or client.peer.is_closed or not self.faults.outlives_signaling_s:
            return
        self._lingering.add(client)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.faults.outlives_signaling_s):
                await client.is_done.wait()
        self._lingering.discard(client)

    def judge(self, query: dict[str, str]) -> int:
        """Return the code of `authorize` for a client's query."""
        expires = self.device_tokens.get(query.get("token", ""))
        self._token_faults += bool(self.faults.token)
        fault = "" if 0 < self.faults.token_times < self._token_faults else self.faults.token
        if fault == "expired":
            return AUTHORIZE_TOKEN_EXPIRED
        if fault == "invalid" or expires is None or query.get("boxid") != self.device_id:
            return AUTHORIZE_INVALID_TOKEN
        return AUTHORIZE_OK if time.monotonic() < expires else AUTHORIZE_TOKEN_EXPIRED

    async def take_over(self, newcomer: "_Client") -> None:
        """A second device takes the phone: the first is told, with code 1402."""
        if not self._allow_many:
            for client in [client for client in self.clients if client is not newcomer and client.peer is not None]:
                await client.end(str(CLOSE_TAKEN_OVER))
            for client in self._lingering:
                client.is_done.set()

    def make_peer(self, client: "_Client") -> PhonePeer:
        """Return a peer for a client."""
        return PhonePeer(
            self.media,
            faults=self.faults,
            host=self._host,
            announce_input=self._announce_input,
            send=client.send,
            on_input=self.inputs.append,
        )


class _Client:
    """One client's way through the conversation."""

    def __init__(self, phone: EmulatedPhone, socket: ServerSocket, query: dict[str, str], *, number: int) -> None:
        self.socket = socket
        self.peer: PhonePeer | None = None
        self.began_at = time.monotonic()
        self.is_done = asyncio.Event()  # nobody wants its stream any more
        self._number = number
        self._ended_by = ""  # what the phone ended it for, in words
        self._phone = phone
        self._query = query
        self._stream_id = str(uuid.uuid4())
        self._is_authorized = False
        self._former: list[PhonePeer] = []  # that another one takes over from
        self._endings: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Say what the server says first, then follow the client."""
        faults = self._phone.faults
        self.socket.answers_pings = not faults.no_pong
        if await self._reach("open"):
            await self.socket.open()
            if faults.refuse:
                await self.socket.refuse(faults.refuse)
            elif await self._reach("connect"):
                await self.socket.connect()
                if await self._reach("authorize"):
                    code = self._phone.judge(self._query)
                    if code != AUTHORIZE_OK:
                        self._ended_by = f"its device token was refused (code {code})"
                    self._is_authorized = code == AUTHORIZE_OK
                    await self.socket.emit("authorize", {"authorized": code == AUTHORIZE_OK, "code": code})
        try:
            async with asyncio.timeout(None if self._is_authorized else UNAUTHORIZED_S):
                await self.socket.serve(self._handle)
        except TimeoutError:
            await self.socket.close(1008, "not authorized")

    def tell(self, what: str) -> None:
        """Tell whoever watches the phone what this client does."""
        self._phone.on_client(f"client {self._number} {what}")

    def tell_end(self) -> None:
        """Tell that it has left, after how long, and why if the phone knows."""
        why = f": {self._ended_by}" if self._ended_by else ""
        self.tell(f"left after {time.monotonic() - self.began_at:.1f} s{why}")

    async def offer(self) -> None:
        """Send an offer, the first or another."""
        if self.peer is None or self.peer.is_closed:
            return
        sdp = await self.peer.offer()
        candidates = self.peer.candidates()
        faults = self._phone.faults
        if faults.early_candidates:
            for payload in candidates:
                await self.send("candidate", payload)
            sdp = "".join(
                f"{line}\r\n"
                for line in sdp.splitlines()
                if not line.startswith(("a=candidate:", "a=end-of-candidates"))
            )
        await self.send("offer", {"type": "offer", "sdp": "v=0 nonsense" if faults.bad_offer else sdp})
        if not faults.early_candidates:
            for payload in candidates:
                await self.send("candidate", payload)

    async def restart_ice(self) -> None:
        """Offer a fresh connection in place of the one there is, which is closed when the other one is up.

        aiortc 1.16 cannot restart ICE: so DTLS begins anew with it, as it may (RFC 8842 section 4).
        """
        if self.peer is None or self.peer.is_closed:
            return
        former, self.peer = self.peer, self._phone.make_peer(self)
        self._former.append(former)
        await self.offer()
        self._endings.append(asyncio.create_task(self._leave(former, self.peer), name="phone: another path"))

    async def _leave(self, former: PhonePeer, peer: PhonePeer) -> None:
        await peer.connected.wait()
        await asyncio.sleep(self._phone.faults.former_lingers_s)
        await former.close()
        self._former.remove(former)

    async def send(self, kind: str, payload: dict[str, Any]) -> None:
        """Send a message of the phone's."""
        message: dict[str, Any] = {"from": self._stream_id, "type": kind}
        if self._phone.faults.data_payload:
            message["data"] = base64.b64encode(json.dumps(payload).encode()).decode()
        else:
            message["payload"] = payload
        await self.socket.emit("message", message)

    async def end(self, reason: str) -> None:
        """End the stream for a reason."""
        self._ended_by = _REASONS.get(reason, f"the phone ended the stream, with {reason}")
        await self.socket.emit("close", {"reason": reason})
        if self.peer is not None:
            await self.peer.close()

    async def close(self) -> None:
        """Let go of everything."""
        endings = [task for task in self._endings if task is not asyncio.current_task()]
        for task in endings:
            task.cancel()
        await asyncio.gather(*endings, return_exceptions=True)
        for peer in (*self._former, self.peer):
            if peer is not None:
                await peer.close()

    async def _reach(self, step: str) -> bool:
        """Come to a step of the conversation; false if a fault stops it there."""
        faults = self._phone.faults
        if faults.drop_at == step:
            await self.socket.cut()
            return False
        return faults.silent_at != step

    async def _handle(self, event: str, payload: Any) -> None:
        if not self._is_authorized:
            return
        if event == "start":
            await self._on_start(payload)
        elif event == "message" and isinstance(payload, dict):
            match payload.get("type"):
                case "init":
                    await self._on_init(_payload(payload))
                case "answer":
                    await self._on_answer(_payload(payload))
                case "candidate" if self.peer is not None and not self._phone.faults.no_media:
                    await self.peer.take_candidate(_payload(payload))

    async def _on_start(self, payload: Any) -> None:
        if not await self._reach("start"):
            return
        times = payload.get("times", 0) if isinstance(payload, dict) else 0
        if self._phone.faults.refuse_start:
            refusal = {"code": self._phone.faults.refuse_start, "message": "the phone is busy", "times": times}
            await self.socket.emit("start", refusal)
        else:
            await self.socket.emit("start", {"streamId": self._stream_id, "vcodec": "h264"})

    async def _on_init(self, payload: dict[str, Any]) -> None:
        if not await self._reach("offer") or self.peer is not None:
            return
        volume = payload.get("volume")
        if isinstance(volume, int) and 0 <= volume <= 100:
            self._phone.media.volume = volume
        await self._phone.take_over(self)
        self.peer = self._phone.make_peer(self)
        await self.offer()

    async def _on_answer(self, payload: dict[str, Any]) -> None:
        faults = self._phone.faults
        if self.peer is None or not await self._reach("answer") or faults.no_media:
            return
        await self.peer.take_answer(str(payload.get("sdp", "")))
        if not self._endings:
            self._endings = [asyncio.create_task(self._tell_stream(self.peer), name="phone: a stream's beginning")]
            self._endings += [
                asyncio.create_task(self._later(after_s, end), name="phone: the stream's end")
                for after_s, end in (
                    (faults.close_after_s, lambda: self.end(faults.close_reason)),
                    (faults.disconnect_after_s, self.socket.disconnect),
                    (faults.cut_after_s, self.socket.cut),
                    (faults.lose_path_after_s, self._lose_path),
                    (faults.restart_ice_after_s, self.restart_ice),
                    (faults.restart_after_s, self._phone.restart),
                    (self._phone.expires_in_s, lambda: self.end(str(CLOSE_TRIAL_OVER))),  # [assumed]: the code
                )
                if after_s
            ]

    async def _tell_stream(self, peer: PhonePeer) -> None:
        await peer.connected.wait()
        self.tell("streams")

    async def _lose_path(self) -> None:
        if self.peer is not None:
            self.peer.path.is_cut = True
            if self._phone.faults.lose_path_for_s:
                await asyncio.sleep(self._phone.faults.lose_path_for_s)
                self.peer.path.is_cut = False

    async def _later(self, after_s: float, end: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(after_s)
        await end()


_REASONS: Final = {
    str(CLOSE_TAKEN_OVER): f"another client took the phone over ({CLOSE_TAKEN_OVER})",
    str(CLOSE_TRIAL_OVER): f"its time was up ({CLOSE_TRIAL_OVER})",
    str(CLOSE_USER_LEFT): f"the API was told to stop the stream ({CLOSE_USER_LEFT})",
}


def _address(websocket: ServerConnection) -> str:
    host, port = websocket.remote_address[:2]
    return f"{_in_url(host)}:{port}"


def _payload(message: dict[str, Any]) -> dict[str, Any]:
    payload = message.get("payload")
    if payload is None and isinstance(message.get("data"), str):
        with contextlib.suppress(ValueError):
            payload = parse_json(base64.b64decode(message["data"]))
    return payload if isinstance(payload, dict) else {}


_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - addresses to listen on → one of them


def url_of(host: str, port: int) -> str:
    """Return the URL at which this machine reaches what listens there."""
    return f"http://{_in_url(_EVERYWHERE.get(host, host))}:{port}"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@contextlib.asynccontextmanager
async def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    width: int = 720,
    height: int = 1280,
    fps: int = 30,
    bitrate_bps: int = 3_000_000,
    audio: bool = True,
    flash_and_beep: bool = False,
    faults: Faults | None = None,
    instance_id: str = "demo-phone",
    tenant_token: str | None = None,
    announce_input: bool = False,
    allow_many: bool = False,
    token_lifetime_s: float = 15.0,
    expires_in_s: float | None = 3600.0,
    ice_servers: list[Any] | None = None,
    ping_interval_s: float = 25.0,
    ping_timeout_s: float = 5.0,
    prepare_s: float = 0.0,
    session_lingers_s: float = 0.0,
) -> AsyncIterator[EmulatedPhone]:
    """Run an emulated phone, on loopback unless told otherwise; leaving the block ends it.

    A second client takes the phone over, and the first one is closed with 1402.

    Args:
        host: The address to listen on. On another than loopback, a `tenant_token` of at least 16 characters is needed.
        port: The auth API's port; 0 takes a free one. Signaling takes a free one.
        width: The screen's width in pixels: even, from 90 to 4096.
        height: The screen's height in pixels: even, from 90 to 4096.
        fps: Frames a second.
        bitrate_bps: The video's bit rate.
        audio: Whether the phone plays audio.
        flash_and_beep: The screen is white for the first tenth of every second, and a beep sounds as long.
        faults: What goes wrong; see `Faults`.
        instance_id: The phone's instance id.
        tenant_token: The token that clients have to bring; None makes one.
        announce_input: The phone opens the data channel `input` itself.
        allow_many: Serve several clients at once instead of closing the former one.
        token_lifetime_s: How long a device token is good for, in seconds.
        expires_in_s: After how many seconds a stream is closed; None is never.
        ice_servers: The STUN and TURN servers that the auth reply names, as they stand there.
        ping_interval_s: The Engine.IO ping interval that clients are told.
        ping_timeout_s: The Engine.IO ping time-out that clients are told.
        prepare_s: The instance has to be prepared, and is ready so many seconds later; 0 is always ready.
        session_lingers_s: The instance stays taken for so long after a stream, unless it is released.

    Raises:
        ConfigurationError: The size is impossible, the token is too short, or the port is taken.
        MissingExtraError: The extra `image` is not installed.
    """
    if not is_loopback(host) and len(tenant_token or "") < TOKEN_LEAST:
        raise ConfigurationError(
            f"expected a token of at least {TOKEN_LEAST} characters to listen on {host}, which others can reach, "
            f"got {len(tenant_token) if tenant_token else 'none'}: name one (for the command line in "
            "STREAMER_PHONE_TOKEN), or stay on 127.0.0.1"
        )
    if width not in SIDES or height not in SIDES:
        raise ConfigurationError(f"expected an even width and height of 90 to 4096 pixels, got {width}x{height}")
    faults = faults or Faults()
    media = PhoneMedia(
        width=width,
        height=height,
        fps=fps,
        bitrate_bps=bitrate_bps,
        audio=audio,
        flash_and_beep=flash_and_beep,
        faults=faults,
    )
    phone = EmulatedPhone(
        host=host,
        media=media,
        faults=faults,
        instance_id=instance_id,
        tenant_token=tenant_token,
        announce_input=announce_input,
        allow_many=allow_many,
        token_lifetime_s=token_lifetime_s,
        expires_in_s=expires_in_s,
        ice_servers=ice_servers or [],
        ping_interval_s=ping_interval_s,
        ping_timeout_s=ping_timeout_s,
        prepare_s=prepare_s,
        session_lingers_s=session_lingers_s,
    )
    api = ApiServer(phone.answer)
    try:
        async with serve_websocket(
            phone.accept,
            host,
            0,
            compression=None,
            logger=_silent,
            max_size=_MESSAGE_LIMIT,
            ping_interval=None,
        ) as signaling:
            phone.signaling_url = url_of(host, signaling.sockets[0].getsockname()[1])
            try:
                phone.endpoint = url_of(host, await api.start(host, port))
            except OSError as error:
                raise ConfigurationError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
            _logger.debug("= serving at %s", phone.endpoint)
            try:
                yield phone
            finally:
                await api.close()
                await phone.close()
    finally:
        await media.close()
