"""The emulator's server: it listens for the API and for signaling, and puts the emulated phone behind both."""

import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Literal

from websockets.asyncio.server import serve as serve_websocket

from streamer.emulator.api import ApiServer, named
from streamer.emulator.apps import REACTIONS_MS, Desktop
from streamer.emulator.faults import Faults
from streamer.emulator.media import PhoneMedia
from streamer.emulator.options import PhoneOptions
from streamer.emulator.phone import EmulatedPhone, url_of
from streamer.errors import ConfigurationError
from streamer.proxies import is_loopback

_logger = logging.getLogger("streamer.emulator")
# websockets logs request lines, and a client's carries its device token.
_silent = logging.getLogger("streamer.emulator.websocket")
_silent.addFilter(lambda _: False)

TOKEN_LEAST: Final = 16  # characters of a tenant token that others could guess at
SIDES: Final = range(90, 4097, 2)  # pixels: the strip needs the least, the encoder even ones
_MESSAGE_LIMIT: Final = 1_000_000  # bytes, as the real server's


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
    screen: Literal["showcase", "apps"] = "showcase",
    reactions_ms: Sequence[int] = REACTIONS_MS,
    faults: Faults | None = None,
    instance_id: str = "demo-phone",
    tenant_token: str | None = None,
    announce_input: bool = True,
    allow_many: bool = False,
    token_lifetime_s: float = 15.0,
    expires_in_s: float | None = 3600.0,
    ice_servers: list[Any] | None = None,
    ping_interval_s: float = 25.0,
    ping_timeout_s: float = 5.0,
    prepare_s: float = 0.0,
    session_lingers_s: float = 0.0,
    reboot_s: float = 0.0,
) -> AsyncIterator[EmulatedPhone]:
    """Run an emulated phone, on loopback unless told otherwise; leaving the block ends it.

    A second client takes the phone over, and the first one is closed with 1402.

    Args:
        host: The address to listen on. On another than loopback, a `tenant_token` of at least 16 characters is needed.
        port: The auth API's port; 0 takes a free one. Signaling takes a free one.
        width: The screen's width in pixels: even, from 90 to 4096.
        height: The screen's height in pixels: even, from 90 to 4096.
        fps: Frames a second.
        bitrate_bps: The highest bit rate of the video.
        audio: Whether the phone plays audio.
        flash_and_beep: The screen is white for the first tenth of every second, and a beep sounds as long.
        screen: What the screen shows. "showcase" moves by itself and has a frame counter. "apps" is a launcher, and
            its apps answer touches and keys. It is still while nobody touches it, and has no frame counter.
        reactions_ms: The reaction times of the slow page among the apps: one to eight, from 0 to 60,000 milliseconds.
        faults: What goes wrong; see `Faults`.
        instance_id: The phone's instance id.
        tenant_token: The token that clients have to bring; None makes one.
        announce_input: The phone opens a data channel `input`, and reads the client's too; otherwise only the client's.
        allow_many: Serve several clients at once instead of closing the former one.
        token_lifetime_s: How long a device token is good for, in seconds.
        expires_in_s: After how many seconds a stream is closed; None is never.
        ice_servers: The STUN and TURN servers that the auth reply names, as they stand there.
        ping_interval_s: The Engine.IO ping interval that clients are told.
        ping_timeout_s: The Engine.IO ping time-out that clients are told.
        prepare_s: The instance has to be prepared, and is ready so many seconds later; 0 is always ready.
        session_lingers_s: The instance stays taken for so long after a stream, unless it is released.
        reboot_s: How long the phone cannot stream after the API rebooted or reset it, in seconds.

    Raises:
        ConfigurationError: The size is impossible, the token is too short, or the port is taken.
        MissingExtraError: The extra `image` is not installed.
    """
    faults, ice_servers = faults or Faults(), ice_servers or []
    options = PhoneOptions(**locals())
    if not is_loopback(host) and len(tenant_token or "") < TOKEN_LEAST:
        raise ConfigurationError(
            f"expected a token of at least {TOKEN_LEAST} characters to listen on {host}, which others can reach, "
            f"got {len(tenant_token) if tenant_token else 'none'}: name one (for the command line in "
            "STREAMER_PHONE_TOKEN), or stay on 127.0.0.1"
        )
    if width not in SIDES or height not in SIDES:
        raise ConfigurationError(f"expected an even width and height of 90 to 4096 pixels, got {width}x{height}")
    if screen not in {"showcase", "apps"} or (screen == "apps" and flash_and_beep):
        raise ConfigurationError(
            f'expected "showcase" or "apps" for the screen, and no flashes with apps, got {screen!r}'
        )
    if not 0 < len(reactions_ms) <= 8 or not all(each in range(60_001) for each in reactions_ms):
        raise ConfigurationError(f"expected 1 to 8 reaction times of 0 to 60,000 ms, got {reactions_ms!r}")
    desktop = Desktop(width, height, fps=fps, reactions_ms=tuple(map(int, reactions_ms))) if screen == "apps" else None
    media = PhoneMedia(
        width=width,
        height=height,
        fps=fps,
        bitrate_bps=bitrate_bps,
        audio=audio,
        flash_and_beep=flash_and_beep,
        desktop=desktop,
        faults=faults,
    )
    phone = EmulatedPhone(options, media)
    api = ApiServer(phone.answer)
    try:
        async with contextlib.AsyncExitStack() as stack:
            listening = serve_websocket(
                phone.accept,
                host,
                0,
                compression=None,
                logger=_silent,
                max_size=_MESSAGE_LIMIT,
                ping_interval=None,
            )
            with named(host, 0):
                signaling = await stack.enter_async_context(listening)
            phone.signaling_url = url_of(host, signaling.sockets[0].getsockname()[1])
            phone.endpoint = url_of(host, await api.start(host, port))
            _logger.debug("= serving at %s", phone.endpoint)
            stack.push_async_callback(phone.close)
            stack.push_async_callback(api.close)
            yield phone
    finally:
        await media.close()
