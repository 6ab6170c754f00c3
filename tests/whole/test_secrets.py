"""Whole sessions at DEBUG, good and bad: no secret is in a log, a repr, an error or a file."""

import asyncio
import base64
import contextlib
import logging
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

import streamer
from streamer import connection, emulator
from streamer.cloud.client import CloudClient
from streamer.emulator import EmulatedPhone, Faults
from streamer.rtc.ice import parse_ice_servers
from streamer.signaling import conversation
from streamer.signaling.messages import SignalingRequest
from tests.support.everywhere import Connect
from tests.support.prepared import COMMAND

LIMIT_S = 30.0
TENANT_TOKEN = "MIIC/tenant+token=="  # as the real ones: base64, which URLs encode
TURN_PASSWORD = "turn+pass/word&more"
ICE_SERVERS: list[Any] = [
    {"uri": "turn:127.0.0.1:9?transport=udp", "usr": "user", "pwd": TURN_PASSWORD},
    {"urls": ["turn:127.0.0.1:9?transport=tcp"], "username": "user", "credential": TURN_PASSWORD},
    f"turn:user:{TURN_PASSWORD}@127.0.0.1:9",
]


def spellings(secret: str) -> set[str]:
    """Return how a secret may look in a text."""
    return {secret, quote(secret), quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}


def secrets_of(phone: EmulatedPhone | SimpleNamespace) -> set[str]:
    return set().union(*(spellings(secret) for secret in (TENANT_TOKEN, TURN_PASSWORD, *phone.device_tokens)))


def assert_clean(text: str, phone: EmulatedPhone | SimpleNamespace) -> None:
    for secret in secrets_of(phone):
        at = text.find(secret)
        assert at < 0, f"…{text[max(at - 300, 0) : at]}<the secret>"


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """All loggers at DEBUG, those of the libraries too."""
    with contextlib.ExitStack() as stack:
        for name in (None, "aioice", "aiortc", "httpcore", "httpx", "websockets"):
            stack.enter_context(caplog.at_level(logging.DEBUG, logger=name))
        yield


def serve(**options: Any) -> Any:
    return emulator.serve(width=360, height=640, tenant_token=TENANT_TOKEN, ice_servers=ICE_SERVERS, **options)


async def test_a_whole_session_shows_no_secret(
    connect: Connect, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async with serve() as phone:
        connecting = connect(phone)
        async with connecting as session, asyncio.timeout(LIMIT_S):
            recording = session.record(tmp_path / "phone.mp4")
            frame = await anext(session.frames())
            while recording.frames < 10:
                await asyncio.sleep(0.05)
            await phone.push_offer()
            await session.wait_input()
            seen = [repr(thing) for thing in (connecting, session, recording, frame, session.stats())]
            seen += [repr(vars(session)), repr(vars(connecting)), str(session.audio_ports)]
            seen += [repr(task) for task in asyncio.all_tasks()]
        assert len(phone.device_tokens) == 1
        assert_clean("\n".join(seen), phone)
        assert_clean(caplog.text, phone)
        assert_clean(recording.path.read_bytes().decode("latin-1"), phone)
        loggers = {record.name for record in caplog.records}
    # It was looked at where the secrets go through.
    assert {"streamer.cloud", "streamer.signaling", "streamer.rtc", "streamer.emulator.api"} <= loggers
    assert {"httpx", "httpcore.http11", "aioice.ice"} <= loggers


async def test_an_object_with_a_secret_does_not_show_it() -> None:
    async with serve() as phone:
        token = streamer.Token(TENANT_TOKEN)
        async with CloudClient(phone.endpoint, token) as cloud:
            ticket = await cloud.fetch_ticket(phone.instance_id)
        servers, problems = parse_ice_servers(ticket.ice_servers)
        assert len(servers) == 2
        assert len(problems) == 1
        request = SignalingRequest(
            signaling_url=ticket.signaling_url,
            device_id=ticket.device_id,
            device_token=ticket.device_token,
            streaming_id="1",
            client_uuid="2",
        )
        password = streamer.Password(
            iam_endpoint="https://iam.example.com", domain="d", user="u", password=TENANT_TOKEN
        )
        key = streamer.AccessKey(access_key="key", secret_key=TENANT_TOKEN)
        provider = streamer.TokenProvider(lambda: TENANT_TOKEN)
        secret = streamer.Secret(TENANT_TOKEN)
        holders = [token, password, key, provider, secret, cloud, ticket, request, servers, problems]
        assert_clean("\n".join(f"{thing} {thing!r} {getattr(thing, '__dict__', '')}" for thing in holders), phone)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(auth_code="KOOPHONE.API.1012"),
        Faults(auth_body="html", auth_status=403),
        Faults(token="invalid"),
        Faults(refuse="not you"),
        Faults(refuse_start=1003),
        Faults(silent_at="offer"),
        Faults(drop_at="open"),
        Faults(bad_offer=True),
        Faults(no_media=True),
        Faults(close_after_s=0.3, close_reason="1415"),
    ],
    ids=lambda faults: " ".join(f"{name}={getattr(faults, name)}" for name in changed(faults)),
)
async def test_an_error_shows_no_secret(
    connect: Connect, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, faults: Faults
) -> None:
    for name in ("HANDSHAKE_TIMEOUT_S", "START_TIMEOUT_S", "OFFER_TIMEOUT_S"):
        monkeypatch.setattr(conversation, name, 0.5)
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 1.0)
    async with serve(faults=faults) as phone:
        with pytest.raises(streamer.StreamerError) as caught:
            async with asyncio.timeout(LIMIT_S), connect(phone) as session:
                await session.wait_ended()
        assert_clean("".join(traceback.format_exception(caught.value)), phone)
        assert_clean(repr(caught.value.__reduce__()), phone)  # as it is sent to another process
        assert_clean(caplog.text, phone)


def changed(faults: Faults) -> list[str]:
    return [name for name in Faults.describe() if getattr(faults, name) != getattr(Faults(), name)]


@pytest.mark.parametrize("words", [("info", "--json"), ("record", "--duration", "0.5")], ids=" ".join)
async def test_the_command_line_with_debug_shows_no_secret(tmp_path: Path, words: tuple[str, ...]) -> None:
    async with serve() as phone:
        process = await asyncio.create_subprocess_exec(
            *(*COMMAND, words[0], phone.instance_id, *words[1:], "--debug"),
            cwd=tmp_path,
            env=os.environ | {"STREAMER_ENDPOINT": phone.endpoint, "STREAMER_AUTH_TOKEN": TENANT_TOKEN},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(LIMIT_S):
            output, _ = await process.communicate()
        assert process.returncode == 0, output
        assert b"streamer.cloud" in output
        assert_clean(output.decode(), phone)


def test_this_search_finds_a_secret_however_it_is_spelt() -> None:
    phone = SimpleNamespace(device_tokens={"device-token": 0.0})
    for secret in (TENANT_TOKEN, TURN_PASSWORD, "device-token"):
        for text in spellings(secret):
            with pytest.raises(AssertionError, match="<the secret>"):
                assert_clean(f"GET /?token={text}&x", phone)
