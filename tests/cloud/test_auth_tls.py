"""The auth call over TLS: what is trusted, what is named, and what is warned of."""

import logging
import ssl
from pathlib import Path
from typing import Final

import pytest

from streamer.cloud.client import CloudClient
from streamer.cloud.credentials import Token
from streamer.errors import CloudUnreachableError
from tests.support.cloud_calls import GOOD, TENANT_TOKEN, client, failing_with, fetch
from tests.support.scripted_http import in_turn, serve
from tests.support.tls import make_certificate, server_context

WARNING: Final = ("streamer.cloud", logging.WARNING)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, beside its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))[0]


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    return server_context(certificate)


async def test_an_untrusted_certificate_is_named_and_nothing_is_sent(tls: ssl.SSLContext) -> None:
    async with serve(in_turn(GOOD), tls=tls) as server:
        with failing_with(CloudUnreachableError, "its TLS certificate is not trusted (self-signed certificate"):
            await fetch(server.url, verify=True)
    assert server.requests == []


async def test_a_certificate_is_trusted_by_a_context_or_not_checked(tls: ssl.SSLContext, certificate: Path) -> None:
    async with serve(in_turn(GOOD), tls=tls) as server:
        with failing_with(CloudUnreachableError, "its TLS certificate is not trusted"):
            async with CloudClient(server.url, Token(TENANT_TOKEN)) as cloud:  # checked unless told otherwise
                await cloud.fetch_ticket("instance-1")
        await fetch(server.url, verify=ssl.create_default_context(cafile=certificate))
        await fetch(server.url, verify=False)
    assert len(server.requests) == 2


async def test_a_trusted_certificate_of_another_host_is_named(tls: ssl.SSLContext, certificate: Path) -> None:
    async with serve(in_turn(GOOD), tls=tls) as server:
        with failing_with(CloudUnreachableError, "certificate is not valid for 'localhost'): check the host name"):
            trust = ssl.create_default_context(cafile=certificate)
            await fetch(server.url.replace("127.0.0.1", "localhost"), verify=trust)
    assert server.requests == []


async def test_weakened_encryption_is_warned_of(
    tls: ssl.SSLContext, certificate: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(in_turn(GOOD), tls=tls) as server:
        trust = ssl.create_default_context(cafile=certificate)
        async with client(server.url.replace("https:", "HTTPS:"), None, verify=trust) as cloud:
            for _ in range(2):
                await cloud.fetch_ticket("instance-1")
        assert [message for name, level, message in caplog.record_tuples if (name, level) == WARNING] == [
            "= the API names a signaling server without TLS: the device token is sent unencrypted"
        ]
        await fetch(server.url, verify=False)
    assert "= TLS certificates are not verified" in caplog.text


async def test_tls_to_a_plain_server_is_named() -> None:
    async with serve(in_turn(GOOD)) as server:
        with failing_with(CloudUnreachableError, "TLS failed (WRONG_VERSION_NUMBER): check the scheme and the port"):
            await fetch(server.url.replace("http://", "https://"))
