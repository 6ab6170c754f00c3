"""The fault matrix: what can happen, and what the user sees of it. `test_matrix` tries each row, and so does
`python -m tests.faults`, which prints the outcomes for docs/reliability.md.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

import pytest

import streamer
from streamer import emulator
from streamer.emulator.faults import STEPS
from tests.faults.stages import Elsewhere, elsewhere
from tests.faults.trials import Row

ASKED: Final = ("connecting",)
AUTHORIZED: Final = (*ASKED, "authorized")
NEGOTIATING: Final = (*AUTHORIZED, "negotiating")
STREAMING: Final = (*NEGOTIATING, "streaming")
AGAIN: Final = (*NEGOTIATING, "resumed")
PATIENT: Final = {"timeout_s": 60.0}  # a step's own time-out ends it, however long a busy machine takes until there
DEAD_STUN: Final = ["stun:127.0.0.1:9", "stun:nobody.invalid:3478"]


def _in_auth(what: str, error: type[streamer.StreamerError] | None, facts: dict[str, Any], **faults: Any) -> Row:
    events = (*ASKED, "closed") if error else STREAMING
    return Row(what=what, faults=faults, events=events, error=error, facts=facts)


def _code(code: str, text: str, *, retryable: bool = False, status: int = 200) -> Row:
    facts = {"error_code": code, "retryable": retryable, "status": status}
    what = f"HTTP {status}, `{code}`: {text}"
    return _in_auth(what, streamer.CloudRefusalError, facts, auth_code=code, auth_status=status)


AUTH: Final = (
    _code("KOOPHONE.API.1001", "no permission", status=400),
    _code("KOOPHONE.API.1002", "another region"),
    _code("KOOPHONE.API.1012", "not under this tenant"),
    _code("KOOPHONE.API.2003", "no instance is free", retryable=True),
    _code("KooPhone.API.2005", "being restored", retryable=True),
    _code("KOOPHONE.API.9999", "internal error", retryable=True, status=500),
    _code("KOOPHONE.API.7777", "a code that no table has"),
    _in_auth("HTTP 401", streamer.CredentialsError, {"status": 401}, auth_code="APIGW.0301", auth_status=401),
    _in_auth("HTTP 429", streamer.CloudReplyError, {"retryable": True}, auth_body="empty", auth_status=429),
    _in_auth("HTTP 502, HTML", streamer.CloudReplyError, {"retryable": True}, auth_body="html", auth_status=502),
    _in_auth("HTTP 200, HTML", streamer.CloudReplyError, {"retryable": False}, auth_body="html"),
    _in_auth("HTTP 200, nothing in it", streamer.CloudReplyError, {"status": 200}, auth_body="empty"),
    _in_auth("the reply breaks off", streamer.CloudUnreachableError, {"retryable": True}, auth_body="truncated"),
    replace(_in_auth("no reply", streamer.ConnectionFailedError, {"stage": "media"}, auth_body="silence"), within_s=40),
    _in_auth("no reply, once", None, {}, auth_body="silence", auth_times=1),
    _in_auth("HTTP 500, twice", None, {}, auth_code="KOOPHONE.API.9999", auth_status=500, auth_times=2),
    _in_auth("every field that may be null is", None, {}, auth_body="nulls"),
    _in_auth("the older shape of the reply", None, {}, auth_body="flat"),
)

REACHED: Final = {"open": ASKED, "connect": ASKED, "authorize": ASKED, "start": AUTHORIZED, "offer": AUTHORIZED}


def at_first(what: str, error: type[streamer.StreamerError], events: tuple[str, ...], **faults: Any) -> Row:
    return Row(what=what, faults=faults, events=(*events, "closed"), error=error, connect=PATIENT, within_s=40)


def at_each_step(row: Callable[..., Row], **more: Any) -> tuple[Row, ...]:
    """Return a row for a reset at each step of the conversation, and one for silence from there on."""
    resets = [
        row(
            f"the WebSocket is reset at `{step}`",
            streamer.SignalingClosedError,
            REACHED.get(step, NEGOTIATING),
            drop_at=step,
            **more,
        )
        for step in STEPS
    ]
    silences = [
        row(
            f"the server is silent from `{step}` on",
            streamer.ConnectionFailedError if step == "answer" else streamer.SignalingTimeoutError,
            REACHED.get(step, NEGOTIATING),
            silent_at=step,
            **more,
        )
        for step in STEPS
    ]
    return (*resets, *silences)


SIGNALING: Final = (
    *at_each_step(at_first),
    Row(
        what="the device token expired between auth and signaling, once",
        faults={"token": "expired", "token_times": 1},
        events=(*ASKED, *STREAMING),
    ),
    Row(
        what="every device token is refused",
        faults={"token": "invalid"},
        events=(*ASKED, *ASKED, "closed"),
        error=streamer.DeviceTokenError,
        facts={"code": -1},
    ),
    at_first("the connection is refused (`44`)", streamer.SignalingRefusedError, ASKED, refuse="go away"),
    at_first("the start is refused", streamer.SignalingRefusedError, AUTHORIZED, refuse_start=1003),
    at_first("the offer is no SDP", streamer.ConnectionFailedError, NEGOTIATING, bad_offer=True),
    Row(what="candidates before the offer", faults={"early_candidates": True}, events=STREAMING),
    Row(what="messages with `data`", faults={"data_payload": True}, events=STREAMING),
    Row(
        what="the STUN servers cannot be reached; the phone can",
        serve={"ice_servers": DEAD_STUN},
        events=STREAMING,
    ),
    Row(
        what="no path comes up, and the STUN servers cannot be reached",
        faults={"no_media": True},
        serve={"ice_servers": DEAD_STUN},
        connect=PATIENT,
        events=(*NEGOTIATING, "closed"),
        error=streamer.ConnectionFailedError,
        facts={"stage": "ice"},
        within_s=40,
    ),
)


def in_attempt(
    what: str, error: type[streamer.StreamerError], events: tuple[str, ...], within_s: float = 40, **faults: Any
) -> Row:
    """A fault that an attempt to reconnect meets, and the next one does not."""
    return Row(
        what=what,
        when="reconnecting",
        faults=faults,
        events=("interrupted", *events, "interrupted", *AGAIN),
        interrupted_by=error,
        within_s=within_s,
    )


RECONNECTING: Final = (
    Row(
        what="none: the WebSocket was reset",
        when="while streaming",
        act=emulator.EmulatedPhone.cut_signaling,
        events=("interrupted", *AGAIN),
        interrupted_by=streamer.SignalingClosedError,
    ),
    *at_each_step(in_attempt),
    in_attempt("the new device token is refused", streamer.DeviceTokenError, ASKED, token="expired"),
    in_attempt("the start is refused", streamer.SignalingRefusedError, AUTHORIZED, refuse_start=1003),
    in_attempt("no instance is free", streamer.CloudRefusalError, ASKED, 60, auth_code="KOOPHONE.API.2003"),
    in_attempt("HTTP 502, HTML", streamer.CloudReplyError, ASKED, auth_body="html", auth_status=502),
    in_attempt("the API is silent", streamer.CloudUnreachableError, ASKED, 60, auth_body="silence"),
    Row(
        what="the permission is gone (`KOOPHONE.API.1001`)",
        when="reconnecting",
        faults={"auth_code": "KOOPHONE.API.1001"},
        events=("interrupted", *ASKED, "closed"),
        error=streamer.CloudRefusalError,
    ),
    Row(
        what="HTTP 401: the tenant token has expired, and cannot be renewed",
        when="reconnecting",
        faults={"auth_code": "APIGW.0301", "auth_status": 401},
        events=("interrupted", *ASKED, "closed"),
        error=streamer.CredentialsError,
    ),
    Row(
        what="the last attempt that was asked for fails (`Reconnect(attempts=1)`)",
        when="reconnecting",
        faults={"drop_at": "authorize"},
        connect={"reconnect": streamer.Reconnect(attempts=1)},
        events=("interrupted", *ASKED, "closed"),
        error=streamer.SignalingClosedError,
    ),
)


def closes(code: int, text: str, error: type[streamer.StreamerError], *, is_final: bool) -> Row:
    async def close(phone: Any) -> None:
        await phone.close_clients(str(code))

    return Row(
        what=f"{code}: {text}",
        when="while streaming",
        act=close,
        events=("closed",) if is_final else ("interrupted", *AGAIN),
        error=error if is_final else None,
        interrupted_by=None if is_final else error,
        facts={"code": code},
    )


CLOSING: Final = (
    closes(1203, "connecting took too long", streamer.SignalingClosedError, is_final=False),
    closes(1300, "browser not supported", streamer.SignalingClosedError, is_final=True),
    closes(1301, "browser not supported", streamer.SignalingClosedError, is_final=True),
    closes(1400, "trial over", streamer.SignalingClosedError, is_final=True),
    closes(1401, "the user left", streamer.SignalingClosedError, is_final=True),
    closes(1402, "another device took over", streamer.TakenOverError, is_final=True),
    closes(1403, "idle", streamer.SignalingClosedError, is_final=True),
    closes(1406, "no media", streamer.SignalingClosedError, is_final=False),
    closes(1412, "the user moved to another phone", streamer.SignalingClosedError, is_final=True),
    closes(1415, "wrong id or token", streamer.DeviceTokenError, is_final=False),
    closes(3000, "unknown error", streamer.SignalingClosedError, is_final=False),
    closes(4711, "a code that no table has", streamer.SignalingClosedError, is_final=False),
    Row(
        what="a Socket.IO disconnect",
        when="at first",
        faults={"disconnect_after_s": 2.0},
        lasts_s=3.0,
        events=(*STREAMING, "interrupted", "resumed"),
        interrupted_by=streamer.SignalingClosedError,
    ),
)


def _cut_for(seconds: float) -> Callable[[emulator.EmulatedPhone], Awaitable[None]]:
    async def cut(phone: emulator.EmulatedPhone) -> None:
        phone.cut_path()
        await asyncio.sleep(seconds)
        phone.mend_path()

    return cut


async def _cut(phone: emulator.EmulatedPhone) -> None:
    phone.cut_path()


async def _move(phone: emulator.EmulatedPhone) -> None:
    phone.move_clients()


def _bad(what: str, **faults: Any) -> Row:
    return Row(what=what, when="while streaming", faults=faults, lasts_s=15, within_s=5)


PATH: Final = (
    Row(what="cut for 1 s", when="while streaming", act=_cut_for(1), lasts_s=2),
    Row(what="cut for 3 s", when="while streaming", act=_cut_for(3), events=("interrupted", "resumed")),
    Row(
        what="cut for 20 s",
        when="while streaming",
        act=_cut_for(20),
        events=("interrupted", "interrupted", *AGAIN),
        interrupted_by=streamer.ConnectionLostError,
        within_s=40,
    ),
    Row(
        what="cut for good; another one can be had",
        when="while streaming",
        act=_cut,
        events=("interrupted", "interrupted", *AGAIN),
        interrupted_by=streamer.ConnectionLostError,
        within_s=40,
    ),
    Row(
        what="cut for good, and no other comes up within `give_up_after_s=5`",
        when="while streaming",
        act=_cut,
        faults={"no_media": True},
        connect={"reconnect": streamer.Reconnect(give_up_after_s=5, max_delay_s=1)},
        events=("interrupted", "interrupted", *NEGOTIATING, "closed"),
        error=streamer.ConnectionLostError,
        within_s=60,
    ),
    Row(what="the client's address changes", when="while streaming", act=_move, lasts_s=5, within_s=5),
    _bad("10 % of the media is lost, in bursts of three", lose=0.1),
    _bad("10 % of the media comes 20 ms late, out of order", overtake=0.1),
    _bad("20 % of the media comes twice", repeat=0.2),
)


async def _kill_and_restart(phone: Elsewhere) -> None:
    phone.kill()
    await asyncio.sleep(3)
    await phone.start()


def _halt_for(seconds: float) -> Callable[[Elsewhere], Awaitable[None]]:
    async def halt(phone: Elsewhere) -> None:
        phone.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            phone.signal(signal.SIGCONT)

    return halt


async def _hold_up_the_loop(_: Elsewhere) -> None:
    time.sleep(10)  # noqa: ASYNC251 - that is the fault


def _set_the_clock(by_s: float) -> Callable[[Elsewhere], Awaitable[None]]:
    async def set_clock(_: Elsewhere) -> None:
        with pytest.MonkeyPatch.context() as patch:
            right, right_ns = time.time, time.time_ns
            patch.setattr(time, "time", lambda: right() + by_s)
            patch.setattr(time, "time_ns", lambda: right_ns() + round(by_s * 1e9))
            await asyncio.sleep(3)

    return set_clock


MACHINES: Final = (
    Row(
        what="the phone's process is killed, and started 3 s later",
        when="while streaming",
        act=_kill_and_restart,
        stage=elsewhere,
        restarts_counter=True,
        often=True,
        events=("interrupted", *AGAIN),
        within_s=40,
    ),
    Row(
        what="API, signaling and path are all silent for 5 s",
        when="while streaming",
        act=_halt_for(5),
        stage=elsewhere,
        events=("interrupted", "resumed"),
        within_s=30,
    ),
    Row(
        what="API, signaling and path are all silent for 20 s",
        when="while streaming",
        act=_halt_for(20),
        stage=elsewhere,
        often=True,
        events=("interrupted", *AGAIN),
        within_s=60,
    ),
    Row(
        what="the disk is full",
        when="while streaming",
        serve={"width": 360, "height": 640, "bitrate_bps": 3_000_000},
        disk_kb=256,
        within_s=15,
    ),
    Row(
        what="the program holds up its event loop for 10 s (`time.sleep`)",
        when="while streaming",
        act=_hold_up_the_loop,
        stage=elsewhere,
        is_alone=True,
        lasts_s=12,
        within_s=15,
        grows_mb=100,
    ),
    Row(
        what="the clock is set forward by a day, and back",
        when="while streaming",
        act=_set_the_clock(86_400),
        stage=elsewhere,
        is_alone=True,
        lasts_s=4,
        within_s=5,
    ),
    Row(
        what="the clock is set back by a day, and forward",
        when="while streaming",
        act=_set_the_clock(-86_400),
        stage=elsewhere,
        is_alone=True,
        lasts_s=4,
        within_s=5,
    ),
)

MATRIX: Final = {
    "The auth call": AUTH,
    "The way to the stream": SIGNALING,
    "An attempt to reconnect": RECONNECTING,
    "The phone closes the stream": CLOSING,
    "The network path": PATH,
    "The machines": MACHINES,
}
