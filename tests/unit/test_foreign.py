from hypothesis import given
from hypothesis import strategies as st

from streamer.foreign import ForeignText, without_secrets


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_is_shown_as_one_bounded_line_of_printable_characters(text: str) -> None:
    shown = str(ForeignText(text))
    assert shown.isprintable()
    assert len(shown) <= 200 * len("\\U0001f600") + 1
    assert f"{ForeignText(text)}" == shown
    shown.encode("utf-8")


def test_escape_sequences_and_direction_overrides_are_shown_as_their_codes() -> None:
    assert str(ForeignText("\x1b[31mred\r\n")) == r"\x1b[31mred\r\n"
    assert str(ForeignText("a\u202eb")) == r"a\u202eb"


@given(st.text())
def test_a_url_is_shown_without_user_password_query_and_fragment(text: str) -> None:
    assert without_secrets(text).isprintable()
    assert without_secrets("https://user:pass@host:8443/path?token=secret#part") == "https://host:8443/path"


def test_a_url_that_cannot_be_parsed_is_not_shown() -> None:
    assert without_secrets("http://[") == "a URL that cannot be parsed"
