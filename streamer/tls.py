"""Which TLS certificates are trusted: one choice for the API, signaling and TURN."""

import asyncio
import concurrent.futures
import functools
import os
import ssl
from typing import Final

import certifi

from streamer.errors import ConfigurationError
from streamer.threads import Threads

_threads: Final = Threads("trust", limit=1)
_OF_ANOTHER_HOST: Final = {62, 64}  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH


def check_verify(verify: bool | ssl.SSLContext | str | os.PathLike[str]) -> bool | ssl.SSLContext:
    """Return what `context_from` takes: a PEM file of authorities becomes a context that trusts only them.

    Raises ConfigurationError if the file cannot be read, or holds no certificate.
    """
    if isinstance(verify, bool | ssl.SSLContext):
        return verify
    try:
        return ssl.create_default_context(cafile=verify)
    except OSError as error:
        what = "no certificate can be read in it" if isinstance(error, ssl.SSLError) else error.strerror or str(error)
        raise ConfigurationError(f"expected a PEM file of authorities, got {os.fspath(verify)}: {what}") from error


def why_untrusted(error: ssl.SSLCertVerificationError) -> str:
    """Return why a server's certificate is not trusted, and what to do."""
    remedy = "check the host name" if error.verify_code in _OF_ANOTHER_HOST else "name its authority with verify (--ca)"
    return f"its TLS certificate is not trusted ({error.verify_message.rstrip('.')}): {remedy}"


async def context_from(verify: bool | ssl.SSLContext) -> ssl.SSLContext:
    """Return the context for `verify`: itself, for True the default one, for False one that verifies nothing.

    A thread reads the default one from disk, once, which takes some 0.3 s.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if not verify:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    try:
        reading = _default_context()
    except OSError:  # the system has no thread left
        return _read_authorities()
    return await asyncio.wrap_future(reading)


@functools.cache
def _default_context() -> concurrent.futures.Future[ssl.SSLContext]:
    return _threads.start(_read_authorities)


def _read_authorities() -> ssl.SSLContext:
    """Return a context that trusts the system's authorities and Mozilla's, or only those of SSL_CERT_FILE."""
    context = ssl.create_default_context()  # OpenSSL itself reads SSL_CERT_FILE and SSL_CERT_DIR
    if not (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
        context.load_verify_locations(certifi.where())
    return context
