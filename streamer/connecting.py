"""How a session begins and ends: the instance is prepared, the phone is connected, everything is closed again."""

import asyncio
import os
import ssl
from collections.abc import Generator
from types import TracebackType
from typing import Any, Literal

from streamer.cloud.client import CloudClient
from streamer.cloud.credentials import Credentials
from streamer.cloud.provisioning import Instance
from streamer.errors import ConfigurationError, ConnectionFailedError, TakenOverError
from streamer.events import EventHub, EventIterator
from streamer.media.libav import require_cuda
from streamer.options import ConnectOptions
from streamer.own_loop import OwnLoop
from streamer.retry_policy import Reconnect
from streamer.session import Session
from streamer.targets.reading import ReadText
from streamer.tls import check_verify


def connect(
    instance_id: str,
    *,
    endpoint: str,
    credentials: Credentials | str,
    timeout_s: float = 20.0,
    verify: bool | ssl.SSLContext | str | os.PathLike[str] = True,
    relay_only: bool = False,
    stream_type: int | None = 2,
    preroll_s: float = 0.0,
    volume: int = 100,
    reconnect: Reconnect | None = Reconnect(),  # noqa: B008 - it is frozen
    prepare_for: str | None = None,
    prepare_timeout_s: float = 300.0,
    release: bool = False,
    keep_awake: bool = False,
    calls_per_minute: int | None = None,
    read_text: ReadText | None = None,
    decoder: Literal["cpu", "cuda", "auto"] = "cpu",
) -> "Connecting":
    """Connect to a phone and give a `Session`.

    `async with connect(...) as phone` closes the session when the block is left. `phone = await connect(...)` does not:
    the caller closes it with `await phone.aclose()`, or with `async with phone`.

    Args:
        instance_id: The phone's instance id.
        endpoint: The API's base URL, which may carry a path. The vendor's own is https://koophone.myhuaweicloud.com
            [doc].
        credentials: Who the tenant is: a Token, TokenFile, TokenProvider, Password or AccessKey. A text is a Token. A
            Token is never replaced, so a session longer than its life (24 hours [doc]) needs one of the others.
        timeout_s: How long connecting may take, from the first call to an encrypted media path, in seconds.
        verify: How TLS certificates of the API, signaling and TURN are verified: True trusts the system's authorities
            and Mozilla's; a PEM file or an `ssl.SSLContext` brings other ones; False verifies nothing.
        relay_only: Send all media through the TURN servers that the API names, so that the phone does not learn this
            machine's addresses. Connecting raises ConnectionFailedError if there is no such server.
        stream_type: What the auth call asks for: 2 is browser streaming [assumed]; None leaves it out.
        preroll_s: Keep the last so many seconds in memory, encoded, for `record(before_s=...)` and `Target.seen`. From
            0 to 120.
        volume: How loud the phone plays, from 0 (silence) to 100 [seen].
        reconnect: How hard the session tries to stay up once it has streamed. Iterators and recordings go on with a new
            connection. None ends the session with the first error. An error that another try cannot mend, such as a
            device that took the phone over, always ends it.
        prepare_for: Bring the instance up first, for this user id of your own. It happens again, within the limits of
            `reconnect`, if the API says that the instance is not ready.
        prepare_timeout_s: How long bringing the instance up may take, in seconds.
        release: End the stream and give the instance back when the session is closed, whatever happened, within 5 s.
            Without it the instance stays taken for a while [doc]. An instance that another device took over is left
            alone.
        keep_awake: Send an input that does nothing every 20 s, against a phone that closes a stream without input
            (1403): a MOVE of a finger that is not down [assumed]. From the first data channel on.
        calls_per_minute: How many commands a minute are sent with these credentials, by `shell` and `apps`. None leaves
            it as it is: 6 at first, which is what the vendor allows in a sister product [assumed].
        read_text: A function that reads the screen for `get_by_text`, instead of the extra `ocr`. It is called in a
            thread with an array of RGB pixels, of shape (height, width, 3), and returns a TextLine for each line.
        decoder: Where frames are decoded: "cpu"; "cuda", on an NVIDIA GPU, which copies each frame to the CPU's memory;
            or "auto", on a GPU if there is one that takes the stream, and otherwise on the CPU.

    Connecting raises ConfigurationError, CloudError, SignalingError or ConnectionFailedError. Nothing is left open
    then, nor after a cancellation.

    Raises:
        ConfigurationError: An argument is wrong; nothing was sent.
    """
    options = ConnectOptions(
        verify=check_verify(verify),
        timeout_s=timeout_s,
        relay_only=relay_only,
        preroll_s=preroll_s,
        volume=volume,
        reconnect=reconnect,
        prepare_for=prepare_for,
        prepare_timeout_s=prepare_timeout_s,
        release=release,
        keep_awake=keep_awake,
        read_text=read_text,
        decoder=decoder,
    )
    cloud = CloudClient(
        endpoint,
        credentials,
        verify=options.verify,
        stream_type=stream_type,
        calls_per_minute=calls_per_minute,
    )
    return Connecting(cloud, instance_id, options)


class Connecting:
    """What `connect` returns. Use it once: `async with` it, or await it and close the `Session` yourself."""

    def __init__(self, cloud: CloudClient, instance_id: str, options: ConnectOptions) -> None:
        self._cloud = cloud
        self._options = options
        self._is_used = False
        self._is_given_back = False
        self._loop = OwnLoop()
        self._events = EventHub(loop=self._loop)
        self._instance = Instance(
            cloud,
            instance_id,
            prepare_for=options.prepare_for,
            prepare_timeout_s=options.prepare_timeout_s,
            events=self._events,
        )
        self._session: Session | None = None

    def events(self) -> EventIterator:
        """Return an async iterator of events that begins before the connection; see `Session.events`."""
        return self._events.iterate()

    def __await__(self) -> Generator[Any, Any, Session]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Session:
        self._loop.check()
        if self._is_used:
            raise ConfigurationError("expected one use of each connect(), got another: call connect() again")
        self._is_used = True
        try:
            if self._options.decoder == "cuda":
                await asyncio.to_thread(require_cuda)
            await self._instance.prepare()
            async with asyncio.timeout(self._options.timeout_s):
                self._events.emit("connecting")
                ticket = await self._instance.fetch_ticket()
                self._session = Session(
                    self._instance, ticket, self._options, events=self._events, on_close=self._give_back
                )
                await self._session.wait_connected()
        except TimeoutError as error:
            stage = "the phone" if self._session else "the API"
            failed = ConnectionFailedError(
                f"timed out after {self._options.timeout_s:g} s waiting for {stage}", stage="media"
            )
            await self._close(failed)
            raise failed from error
        except BaseException as error:
            await self._close(error)
            raise
        return self._session

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.check()
        await self._close()

    async def _close(self, error: BaseException | None = None) -> None:
        if self._session is None:
            await self._give_back(error)
        else:
            await self._session.aclose()

    async def _give_back(self, error: BaseException | None = None) -> None:
        """Release the instance, if that is wanted, and close the API's connections: once, after the session."""
        if self._is_given_back:
            return
        self._is_given_back = True
        try:
            is_taken_over = self._session is not None and isinstance(self._session.error, TakenOverError)
            if self._options.release and self._instance.may_be_taken and not is_taken_over:
                await self._instance.release()
        finally:
            self._events.emit("closed", error=error if isinstance(error, Exception) else None)
            await self._cloud.aclose()
