import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.untrusted_text import UntrustedText, parse_url, without_secrets


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_is_shown_as_one_bounded_line_of_printable_characters(text: str) -> None:
    shown = str(UntrustedText(text))
    assert shown.isprintable()
    assert len(shown) <= 200 * len("\\U0001f600") + 1
    assert f"{UntrustedText(text)}" == shown
    shown.encode("utf-8")


def test_escape_sequences_and_direction_overrides_are_shown_as_their_codes() -> None:
    assert str(UntrustedText("\x1b[31mred\r\n")) == r"\x1b[31mred\r\n"
    assert str(UntrustedText("a\u202eb")) == r"a\u202eb"


@given(st.text())
def test_a_url_is_shown_without_user_password_query_and_fragment(text: str) -> None:
    assert without_secrets(text).isprintable()
    assert without_secrets("https://user:pass@host:8443/path?token=secret#part") == "https://host:8443/path"


@pytest.mark.parametrize("scheme", ["https://", ""])
@pytest.mark.parametrize("character", "/?#@:\\")
def test_a_password_with_any_character_is_not_shown(scheme: str, character: str) -> None:
    shown = without_secrets(f"{scheme}user:80{character}hunter2@host/path")
    assert "80" not in shown
    assert "hunter2" not in shown


def test_a_url_without_a_scheme_is_shown_as_it_was_given() -> None:
    assert without_secrets("localhost:8470/path") == "localhost:8470/path"
    assert without_secrets("127.0.0.1:8470") == "127.0.0.1:8470"


def test_a_url_that_cannot_be_parsed_is_not_shown() -> None:
    assert without_secrets("http://[") == "a URL that cannot be parsed"


@given(st.text() | st.from_regex(r"(http|ws)s?://[^/]*(:\d+)?/?.*", fullmatch=True))
def test_any_text_is_a_url_that_can_be_connected_to_or_none(text: str) -> None:
    parts = parse_url(text, {"http", "ws"})
    if parts is not None:
        assert parts.scheme in {"http", "ws"}
        assert parts.hostname
        assert parts.port is None or 0 < parts.port < 65536
        assert parts.geturl().isprintable()


@pytest.mark.parametrize(
    "text",
    ["http://[", "http://[::1", "http://a\nb", "http://a b", "http://h:x", "http://h:70000", "http://" + "a" * 5000],
)
def test_a_malformed_url_is_none(text: str) -> None:
    assert parse_url(text, {"http"}) is None


def test_a_scheme_is_known_in_any_case() -> None:
    parts = parse_url("HTTPS://Host:443/Path", {"https"})
    assert parts is not None
    assert parts.geturl() == "https://Host:443/Path"
