"""The trust that the API and signaling share."""

import asyncio
import ssl
import threading
from pathlib import Path

import certifi
import pytest

import streamer
from streamer import tls
from streamer.errors import ConfigurationError
from streamer.tls import _read_authorities, check_verify, context_from
from tests.support.tls import make_certificate


async def test_authorities_are_read_once_and_verification_is_on() -> None:
    context = await context_from(True)
    assert context is await context_from(True)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_the_systems_authorities_and_mozillas_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    trusted = set(_read_authorities().get_ca_certs(binary_form=True))
    assert trusted >= set(ssl.create_default_context().get_ca_certs(binary_form=True))
    assert trusted >= set(ssl.create_default_context(cafile=certifi.where()).get_ca_certs(binary_form=True))


def test_a_file_named_by_the_environment_is_trusted_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)[0]
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = _read_authorities()
    alone = ssl.create_default_context(cafile=certificate)
    assert context.get_ca_certs(binary_form=True) == alone.get_ca_certs(binary_form=True)
    assert context.cert_store_stats() == alone.cert_store_stats()


async def test_verification_is_off_only_on_request() -> None:
    context = await context_from(False)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    assert (await context_from(True)).verify_mode == ssl.CERT_REQUIRED


async def test_a_context_of_the_users_own_is_used_as_it_is() -> None:
    own = ssl.create_default_context()
    assert await context_from(own) is own


async def test_reading_the_authorities_does_not_hold_up_the_event_loop() -> None:
    tls._default_context.cache_clear()
    reading = asyncio.create_task(context_from(True))
    ticks = 0
    while not reading.done():
        await asyncio.sleep(0.001)
        ticks += 1
    assert ticks > 10
    tls._default_context.cache_clear()


async def test_the_authorities_are_read_even_if_no_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    tls._default_context.cache_clear()
    monkeypatch.setattr(threading.Thread, "start", start)
    assert (await context_from(True)).verify_mode == ssl.CERT_REQUIRED


def test_a_file_of_authorities_is_trusted_alone(tmp_path: Path) -> None:
    some = ssl.create_default_context().get_ca_certs(binary_form=True)[0]
    path = tmp_path / "authority.pem"
    path.write_text(ssl.DER_cert_to_PEM_cert(some))
    context = check_verify(path)
    assert isinstance(context, ssl.SSLContext)
    assert context.get_ca_certs(binary_form=True) == [some]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (check_verify(True), check_verify(False)) == (True, False)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        ("no certificate", "no certificate can be read in it"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate can be read in it"),
    ],
)
def test_a_file_without_authorities_is_refused_in_a_sentence(content: str | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "authority.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(
        ConfigurationError, match=rf"expected a PEM file of authorities, got .*authority\.pem: {reason}$"
    ):
        streamer.connect("any", endpoint="https://api.example", credentials=streamer.Token("token"), verify=path)
