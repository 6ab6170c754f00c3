"""TLS in tests: certificates that only their own file vouches for, and TLS in front of a server that has none."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from streamer.emulator import EmulatedPhone

Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def make_certificate(directory: Path, *addresses: str) -> tuple[Path, Path]:
    """Write a certificate for IP addresses, 127.0.0.1 by default, and its key; return both paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "streamer tests")])
    names = [x509.IPAddress(ip_address(address)) for address in addresses or ("127.0.0.1",)]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = directory / "certificate.pem", directory / "key.pem"
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_path, key_path


def server_context(certificate: Path) -> ssl.SSLContext:
    """Return what a server needs to show a certificate of `make_certificate`'s."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


Stream: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def join(here: Stream, there: Stream, see: Callable[[bytes], None] = lambda _: None) -> None:
    """Copy what comes from either side to the other, until one of them ends; `see` gets all of it."""
    tasks = [asyncio.create_task(_copy(*way, see)) for way in ((here[0], there[1]), (there[0], here[1]))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, see: Callable[[bytes], None]) -> None:
    while data := await reader.read(65536):
        see(data)
        writer.write(data)
        await writer.drain()


@contextlib.asynccontextmanager
async def serving(serve: Serve, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listen on a free port; leaving the block ends every connection."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, EOFError):
            await serve(reader, writer)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve_and_close(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async with await asyncio.start_server(accept, host, 0, ssl=tls) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def behind_tls(phone: EmulatedPhone, api_shows: Path, signaling_shows: Path) -> AsyncIterator[EmulatedPhone]:
    """Put TLS in front of a phone's API and signaling, which are then named so, each with its certificate."""

    def to(url: str) -> Serve:
        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            onward = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
            with contextlib.closing(onward[1]):
                await join((reader, writer), onward)

        return forward

    plain = phone.endpoint, phone.signaling_url
    async with (
        serving(to(plain[0]), tls=server_context(api_shows)) as api,
        serving(to(plain[1]), tls=server_context(signaling_shows)) as signaling,
    ):
        phone.endpoint, phone.signaling_url = f"https://127.0.0.1:{api}", f"https://127.0.0.1:{signaling}"
        try:
            yield phone
        finally:
            phone.endpoint, phone.signaling_url = plain
