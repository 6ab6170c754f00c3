"""The fault matrix with real peers: Chromium as the phone, the npm socket.io 2 server, coturn."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

import streamer
from tests.faults.matrix import (
    AGAIN,
    ASKED,
    AUTHORIZED,
    DEAD_STUN,
    NEGOTIATING,
    STREAMING,
    at_each_step,
    at_first,
    closes,
    in_attempt,
)
from tests.faults.stages import Abroad, abroad
from tests.faults.trials import Row
from tests.support.peers.coturn import PASSWORD, USER, Coturn

OPEN_ATTEMPTS: Final = 3  # of the client, to open a WebSocket
AT_ONCE: Final = 4  # trials: each page of Chromium draws and encodes


def _abroad(*rows: Row, **changes: Any) -> tuple[Row, ...]:
    return tuple(replace(row, stage=abroad, **changes) for row in rows)


AT_FIRST: Final = _abroad(
    *at_each_step(at_first),
    replace(
        at_first("the upgrade gets HTTP 403", streamer.SignalingUnreachableError, ASKED, status=403),
        facts={"status": 403},
    ),
    replace(
        at_first("the upgrade gets HTTP 503", streamer.SignalingUnreachableError, ASKED, status=503),
        facts={"status": 503},
    ),
    at_first("a middleware refuses (`44`)", streamer.SignalingRefusedError, ASKED, refuse="go away"),
    Row(
        what="the device token expired between auth and signaling, once",
        faults={"token": "expired", "times": 1},
        events=(*ASKED, *STREAMING),
    ),
    Row(
        what="every device token is refused",
        faults={"token": "invalid"},
        events=(*ASKED, *ASKED, "closed"),
        error=streamer.DeviceTokenError,
        facts={"code": -1},
    ),
    Row(
        what="no phone is there: the start is refused",
        serve={"signaling": {"waits": False}, "page": {"boxid": "another"}},
        events=(*AUTHORIZED, "closed"),
        error=streamer.SignalingRefusedError,
        facts={"code": 404},
    ),
    Row(
        what="the STUN servers cannot be reached; the phone can",
        serve={"ice_servers": DEAD_STUN},
        events=STREAMING,
    ),
)

IN_ATTEMPT: Final = _abroad(
    *at_each_step(in_attempt, times=1),
    in_attempt("the upgrade gets HTTP 403", streamer.SignalingUnreachableError, ASKED, status=403, times=1),
    in_attempt("the upgrade gets HTTP 503", streamer.SignalingUnreachableError, ASKED, status=503, times=OPEN_ATTEMPTS),
    in_attempt("the new device token is refused", streamer.DeviceTokenError, ASKED, token="expired", times=1),
)


async def _disconnect(phone: Abroad) -> None:
    await phone.server.tell("disconnect")


async def _restart_server(phone: Abroad) -> None:
    await phone.kill_server()
    await asyncio.sleep(3)
    await phone.start_server()


async def _stopped(send: Callable[[int], None], seconds: float) -> None:
    send(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        send(signal.SIGCONT)


async def _stop_server(phone: Abroad) -> None:
    await _stopped(phone.server.signal, 15)


_PINGS: Final = {"pingInterval": 3000, "pingTimeout": 5000}

MEANWHILE: Final = _abroad(
    Row(
        what="the WebSocket is reset, and the phone sends until another client comes",
        act=Abroad.reset_signaling,
        events=("interrupted", "resumed"),
        interrupted_by=streamer.SignalingClosedError,
    ),
    Row(
        what="the WebSocket is reset, and the phone serves several clients",
        act=Abroad.reset_signaling,
        serve={"page": {"many": 1}},
        events=("renewed",),
    ),
    Row(
        what="the WebSocket is reset, and the phone stops sending",
        act=Abroad.cut_signaling,
        events=("interrupted", *AGAIN),
        interrupted_by=(streamer.SignalingClosedError, streamer.ConnectionLostError),  # the two race
    ),
    Row(
        what="a Socket.IO disconnect",
        act=_disconnect,
        events=("interrupted", "resumed"),
        interrupted_by=streamer.SignalingClosedError,
    ),
    Row(
        what="the server's process is killed, and started 3 s later",
        act=_restart_server,
        often=True,
        events=("interrupted", "resumed"),
        within_s=60,
    ),
    Row(
        what="the server's process is stopped for 15 s; its pings are due after 3 s, and lost after 5 s",
        act=_stop_server,
        serve={"signaling": _PINGS},
        often=True,
        events=("interrupted", "resumed"),
        within_s=60,
    ),
    closes(1402, "another device took over", streamer.TakenOverError, is_final=True),
    closes(1403, "idle", streamer.SignalingClosedError, is_final=True),
    closes(1406, "no media", streamer.SignalingClosedError, is_final=False),
    closes(1415, "wrong id or token", streamer.DeviceTokenError, is_final=False),
    when="while streaming",
)


async def _reopen(phone: Abroad) -> None:
    await phone.close_page()
    await phone.open_page()


async def _restart_browser(phone: Abroad) -> None:
    await phone.kill_browser()
    await phone.open_page()


def _stop_browser_for(seconds: float) -> Callable[[Abroad], Awaitable[None]]:
    return lambda phone: _stopped(phone.signal_browser, seconds)


def _in_page(*expressions: str, pause_s: float = 0.0) -> Callable[[Abroad], Awaitable[None]]:
    """Return what runs JavaScript in the phone's page."""

    async def act(phone: Abroad) -> None:
        for number, expression in enumerate(expressions):
            await asyncio.sleep(pause_s if number else 0)
            await phone.page.evaluate(expression)

    return act


_STANDS_STILL: Final = _in_page("phone.goStill()", "phone.goOn()", pause_s=15)

CHROMIUM: Final = _abroad(
    Row(
        what="the page is closed, and another one opened: the phone restarts",
        act=_reopen,
        restarts_counter=True,
        often=True,
        events=("interrupted", *AGAIN),
        within_s=60,
    ),
    Row(
        what="the page is closed, and no other opened (`give_up_after_s=5`): each start is refused",
        act=Abroad.close_page,
        serve={"signaling": {"waits": False}},
        connect={"reconnect": streamer.Reconnect(give_up_after_s=5, max_delay_s=2)},
        often=True,
        events=("interrupted", *AUTHORIZED, "closed"),
        error=streamer.SignalingRefusedError,
        facts={"code": 404},
        within_s=60,
    ),
    Row(
        what="its processes are killed, and started anew",
        act=_restart_browser,
        serve={"own_browser": True},
        restarts_counter=True,
        often=True,
        events=("interrupted", *AGAIN),
        within_s=60,
    ),
    Row(
        what="its processes are stopped for 5 s",
        act=_stop_browser_for(5),
        serve={"own_browser": True},
        events=("interrupted", "resumed"),
        within_s=30,
    ),
    Row(
        what="its processes are stopped for 20 s",
        act=_stop_browser_for(20),
        serve={"own_browser": True},
        often=True,
        events=("interrupted", *AGAIN),
        within_s=60,
    ),
    Row(
        what="the phone closes the peer connection",
        act=_in_page("phone.close()"),
        events=("interrupted", *AGAIN),
        interrupted_by=streamer.ConnectionLostError,
    ),
    Row(what="another offer, without a cause", act=_in_page("phone.offer()"), lasts_s=5),
    Row(  # Chromium ends the former path before the next one is up
        what="an offer that restarts ICE",
        act=_in_page("phone.offer({ iceRestart: true })"),
        events=("interrupted", "resumed"),
        lasts_s=8,
    ),
    Row(what="the phone is turned", act=_in_page("phone.rotate()"), lasts_s=5),
    Row(what="the screen stands still for 15 s", act=_STANDS_STILL, lasts_s=3, within_s=40),
    Row(
        what="the screen stands still for 15 s, and there is no audio",
        act=_STANDS_STILL,
        serve={"page": {"silent": 1}},
        lasts_s=3,
        within_s=40,
    ),
    when="while streaming",
)


def _entry(url: str, password: str = PASSWORD) -> dict[str, str]:
    return {"urls": url, "username": USER, "credential": password}


def _one(way: str) -> Callable[[Coturn], list[dict[str, str]]]:
    return lambda coturn: [_entry(coturn.url(way))]


def _among_bad_ones(coturn: Coturn) -> list[dict[str, str]]:
    return [
        _entry(coturn.url("tcp"), "wrong"),
        _entry("turn:127.0.0.1:9?transport=udp"),
        _entry("turn:127.0.0.1:9?transport=tcp"),
        *({"urls": url} for url in DEAD_STUN),
        _entry(coturn.url("udp")),
    ]


def _stop_coturn_for(seconds: float) -> Callable[[Abroad], Awaitable[None]]:
    return lambda phone: _stopped(phone.coturn.signal, seconds)


async def _kill_coturn(phone: Abroad) -> None:
    await phone.coturn.kill()


async def _restart_coturn(phone: Abroad) -> None:
    await phone.coturn.kill()
    await asyncio.sleep(3)
    await phone.coturn.start()


def _relayed(
    what: str, act: Callable[[Abroad], Awaitable[None]], events: tuple[str, ...], way: str = "udp", **more: Any
) -> Row:
    facts: dict[str, Any] = {
        "when": "while streaming",
        "serve": {"ice_servers": _one(way)},
        "connect": {"relay_only": True},
        "within_s": 60,
    }
    return Row(what=what, act=act, events=events, **facts | more)


_KILLED: Final[dict[str, Any]] = {
    "often": True,
    "connect": {"relay_only": True, "reconnect": streamer.Reconnect(give_up_after_s=15, max_delay_s=2)},
    "error": streamer.ConnectionFailedError,
    "facts": {"stage": "ice"},
}

COTURN: Final = _abroad(
    Row(
        what="one that refuses the password and others that cannot be reached stand before it",
        serve={"ice_servers": _among_bad_ones},
        connect={"relay_only": True},
        events=STREAMING,
    ),
    Row(
        what="no one takes the password",
        serve={"ice_servers": lambda coturn: [_entry(coturn.url(way), "wrong") for way in ("udp", "tcp")]},
        connect={"relay_only": True},
        events=(*NEGOTIATING, "closed"),
        error=streamer.ConnectionFailedError,
        facts={"stage": "ice"},
    ),
    _relayed("stopped for 5 s", _stop_coturn_for(5), ("interrupted", "resumed")),
    _relayed("stopped for 20 s", _stop_coturn_for(20), ("interrupted", *AGAIN), often=True),
    _relayed("killed, and started 3 s later", _restart_coturn, ("interrupted", *AGAIN), often=True),
    _relayed(
        "reached by TCP; killed, and started 3 s later", _restart_coturn, ("interrupted", *AGAIN), "tcp", often=True
    ),
    _relayed(
        "killed for good (`give_up_after_s=15`)", _kill_coturn, ("interrupted", *NEGOTIATING, "closed"), **_KILLED
    ),
)

PEERS: Final = {
    "Behind the socket.io 2 server: the way to the stream": AT_FIRST,
    "Behind the socket.io 2 server: an attempt to reconnect": IN_ATTEMPT,
    "Behind the socket.io 2 server: while streaming": MEANWHILE,
    "With Chromium as the phone": CHROMIUM,
    "With coturn as the only path": COTURN,
}
