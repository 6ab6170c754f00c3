"""The URL of the signaling WebSocket."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import ConfigurationError
from streamer.secret import Secret
from streamer.signaling.messages import SignalingRequest, websocket_url

# What UTF-8 can carry: lone surrogates cannot leave the machine.
texts = st.text(st.characters(codec="utf-8"), min_size=1)


def url_of(signaling_url: str, *, device_id: str = "box", token: str = "token", streaming_id: str = "stream") -> str:
    request = SignalingRequest(
        signaling_url=signaling_url,
        device_id=device_id,
        device_token=Secret(token),
        streaming_id=streaming_id,
        client_uuid="uuid",
    )
    return websocket_url(request).reveal()


@given(device_id=texts, token=texts, streaming_id=texts)
def test_every_value_arrives_unchanged(device_id: str, token: str, streaming_id: str) -> None:
    url = url_of("http://192.0.2.1:18082", device_id=device_id, token=token, streaming_id=streaming_id)
    assert url.isascii()
    assert parse_qs(urlsplit(url).query, keep_blank_values=True, strict_parsing=True) == {
        "EIO": ["3"],
        "transport": ["websocket"],
        "authtype": ["token"],
        "boxid": [device_id],
        "token": [token],
        "sessionid": [token],
        "streamingid": [streaming_id],
    }


def test_a_value_is_percent_encoded_whatever_it_holds() -> None:
    assert "&token=a%2Fb%3D%26%23%3F%2B%20%25%C3%A4&" in url_of("http://host", token="a/b=&#?+ %ä")


@pytest.mark.parametrize(
    ("signaling_url", "start"),
    [
        ("http://100.93.2.248:18082", "ws://100.93.2.248:18082/socket.io/?"),
        ("https://host", "wss://host/socket.io/?"),
        ("HTTPS://host", "wss://host/socket.io/?"),
        ("ws://host:80", "ws://host:80/socket.io/?"),
        ("wss://host", "wss://host/socket.io/?"),
        ("http://host/", "ws://host/socket.io/?"),
        ("http://host///", "ws://host/socket.io/?"),
        ("https://host/a/prefix/", "wss://host/a/prefix/socket.io/?"),
        ("https://host/a/prefix?old=query#part", "wss://host/a/prefix/socket.io/?"),
        ("http://[2001:db8::1]:18082/", "ws://[2001:db8::1]:18082/socket.io/?"),
    ],
)
def test_the_scheme_is_translated_and_a_prefix_is_kept(signaling_url: str, start: str) -> None:
    assert url_of(signaling_url).startswith(start + "EIO=3&")


@pytest.mark.parametrize(
    "signaling_url",
    ["", "host", "host:18082", "//host", "ftp://host", "http://", "http:///path", "http://[::1", "http:host"],
)
def test_an_invalid_signaling_url_is_a_configuration_error(signaling_url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a signaling URL"):
        url_of(signaling_url)


@given(st.text())
def test_any_text_is_a_url_or_a_configuration_error(signaling_url: str) -> None:
    try:
        url = url_of(signaling_url)
    except ConfigurationError:
        return
    assert url.startswith(("ws://", "wss://"))


@given(texts)
def test_a_urls_repr_does_not_show_the_token(token: str) -> None:
    request = SignalingRequest(
        signaling_url="http://user:hunter2@host/?token=hunter2",
        device_id="box",
        device_token=Secret(token),
        streaming_id="stream",
        client_uuid="uuid",
    )
    assert repr(websocket_url(request)) == str(websocket_url(request)) == "Secret(***)"
    assert "Secret(***)" in repr(request)
    assert "hunter2" not in repr(request)
