"""Targets of the cloud: what an HTTP server replies, and any text from outside."""

import contextlib
import json
from collections.abc import Callable

from streamer.cloud import results
from streamer.cloud.encoding import UnreadableBodyError, decode_body
from streamer.cloud.http import BODY_LIMIT
from streamer.cloud.models import check_reply, parse_ticket
from streamer.errors import CloudError, CloudReplyError, ConfigurationError
from streamer.rtc.ice import parse_ice_servers
from streamer.signaling.messages import SignalingRequest, websocket_url
from streamer.untrusted_text import SHOWN_LIMIT, UntrustedText, without_secrets
from tests.fuzz.inputs import SECRET


def ice_servers(data: bytes) -> None:
    """JSON that an auth reply might have → servers, and sentences without a password."""
    with contextlib.suppress(ValueError, RecursionError):
        entries = json.loads(data)
        if isinstance(entries, list):
            servers, problems = parse_ice_servers(entries)
            assert all(0 < server.port < 65536 and server.host for server in servers)
            assert all(problem.isprintable() and len(problem) < 1000 for problem in problems)
            assert SECRET not in "".join(map(repr, servers))


def http_body(data: bytes) -> None:
    """The Content-Encoding, the charset and the body, cut at 0x1E → at most so many bytes, or the documented error."""
    encodings, charset, body = ([*data.split(b"\x1e", 2), b"", b""])[:3]
    with contextlib.suppress(UnreadableBodyError):
        decoded = decode_body(
            body, encodings=encodings.decode("latin-1"), charset=charset.decode("latin-1") or None, limit=BODY_LIMIT
        )
        assert len(decoded) <= max(BODY_LIMIT, 3 * len(body))


def auth_reply(data: bytes) -> None:
    """The HTTP status in two bytes, then the body → a ticket that can be used, or an error without secrets."""
    status, body = 200 + int.from_bytes(data[:2]) % 400, data[2:]
    try:
        check_reply(body, status=status, request_id="1", hidden=SECRET)
        ticket = parse_ticket(body, "instance", status=status)
    except CloudError as error:
        assert SECRET not in str(error)
        return
    parse_ice_servers(ticket.ice_servers)
    request = SignalingRequest(
        signaling_url=ticket.signaling_url,
        device_id=ticket.device_id,
        device_token=ticket.device_token,
        streaming_id=ticket.streaming_id or "",
        client_uuid="uuid",
    )
    with contextlib.suppress(ConfigurationError):
        websocket_url(request)


def api_reply(data: bytes) -> None:
    """The body of a reply to a call beside the stream → what it says, within bounds, or the documented error."""
    readers: tuple[Callable[[bytes, int], object], ...] = (
        lambda body, status: results.parse_command(body, status, "phone-1"),
        lambda body, status: results.parse_task(body, status, "phone-1"),
        lambda body, status: results.parse_status(body, status, "phone-1"),
        results.parse_jobs,
        results.parse_apps,
        results.parse_instances,
    )
    for read in readers:
        try:
            said = read(data, 200)
        except CloudReplyError as error:
            assert str(error).isprintable()
            continue
        if isinstance(said, results.Task):
            assert results.TASK_ID.fullmatch(said.task_id)
        jobs = said if isinstance(said, tuple) else (said,)
        for job in jobs:
            if isinstance(job, results.Job):
                assert job.is_over or not job.has_failed
                assert (job.error_msg or "").isprintable()


def untrusted_text(data: bytes) -> None:
    """A text from outside → one bounded line; a URL → no user, password, query or fragment of it."""
    for text in (data.decode(errors="replace"), data.decode("utf-16-le", errors="replace")):
        shown = str(UntrustedText(text))
        assert shown.isprintable()
        assert len(shown) <= 10 * SHOWN_LIMIT + 1
        shown.encode()  # holds no lone surrogate
        url = without_secrets(f"https://user:{SECRET}@{text}?token={SECRET}#{SECRET}")
        assert url.isprintable()
        assert SECRET not in url
