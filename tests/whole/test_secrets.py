"""No secret gets out: a whole session runs while everything it says is written down and searched."""

import logging
from pathlib import Path

import pytest

import streamer
from streamer import phone as embedded
from streamer.rtc.ice import parse_ice_servers
from tests.everywhere import Connect

TURN_PASSWORD = "turn-password-7f1c"


async def test_a_whole_session_shows_none_of_its_secrets(
    connect: Connect, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    servers = [{"urls": "turn:127.0.0.1:9", "username": "u", "credential": TURN_PASSWORD}]
    seen: list[str] = []
    async with embedded.serve(width=360, height=640, ice_servers=servers) as phone:
        async with connect(phone) as session, session.record(tmp_path / "a.mp4"):
            async for frame in session:
                seen += [repr(frame), repr(session), repr(session.stats()), repr(vars(session))]
                break
        with pytest.raises(streamer.CloudError) as refused:
            async with streamer.connect(
                "nobody", endpoint=phone.endpoint, credentials=streamer.Token(phone.tenant_token)
            ):
                pass
        seen += [repr(refused.value), repr(vars(refused.value))]
        phone.faults.token = "expired"
        with pytest.raises(streamer.DeviceTokenError) as expired:
            async with connect(phone):
                pass
        seen += [repr(expired.value), repr(vars(expired.value)), repr(streamer.Token(phone.tenant_token))]
        secrets = [phone.tenant_token, *phone.device_tokens, TURN_PASSWORD]
    seen += [repr(parse_ice_servers(servers)), caplog.text]
    assert len(secrets) == 4
    everything = "\n".join(seen)
    assert "streamer.signaling" in everything  # the log was on
    for secret in secrets:
        assert secret not in everything
        assert secret.encode() not in (tmp_path / "a.mp4").read_bytes()
