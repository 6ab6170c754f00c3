"""Which pages of others may have the viewer in a frame: those that its owner names, and no other."""

from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

import streamer
from streamer.viewer import embedding

PAGE = resources.files("streamer.viewer").joinpath("static", "index.html").read_bytes()


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("https://lab.example", ("https://lab.example",)),
        (["http://127.0.0.1:8000", "http://localhost:08000"], ("http://127.0.0.1:8000", "http://localhost:8000")),
        (
            ["HTTPS://Lab.Example:443", "https://lab.example", "http://lab.example:443"],
            ("https://lab.example", "http://lab.example:443"),
        ),
        ((), ()),
    ],
)
def test_origins_are_read_as_browsers_write_them(given: str | list[str], read: tuple[str, ...]) -> None:
    assert embedding.read_origins(given) == read


@pytest.mark.parametrize(
    "text",
    [
        *("*", "null", "", "lab.example", "https://*.example", "https://lab.example/", "https://me@lab.example"),
        *("ftp://lab.example", "https://lab.example:0", "https://lab.example:65536", "https://lab.example; x 'self'"),
        *(
            'https://"lab.example',
            "https://lab.example\nhttps://evil.example",
            "https://läb.example",
            "https://-",
            "http://[::1]:8000",
        ),
    ],
)
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(streamer.ConfigurationError, match="expected an origin that may embed the viewer, such as"):
        embedding.read_origins([text])


def test_what_is_no_text_is_refused_with_a_sentence() -> None:
    with pytest.raises(streamer.ConfigurationError, match=r"expected an origin that may embed the viewer, .* got 5"):
        embedding.read_origins([5])  # type: ignore[list-item]


@given(st.text(alphabet="htps:/.*'\"; <>aé0123456789[]@-\n", max_size=30))
def test_what_is_read_cannot_leave_its_place_in_the_policy_or_in_the_page(text: str) -> None:
    try:
        (origin,) = embedding.read_origins([text])
    except streamer.ConfigurationError:
        return
    assert not set(origin) & set(" ;,'\"<>*\n\r")


def test_no_page_of_another_may_have_the_viewer_in_a_frame_unless_it_is_named() -> None:
    assert embedding.policy(()).endswith("; frame-ancestors 'none'")
    origins = ("https://a.example", "https://b.example")
    assert embedding.policy(origins).endswith("; frame-ancestors https://a.example https://b.example")
    assert b'<meta name="embed-from" content="https://a.example https://b.example">' in embedding.page_for(
        origins, PAGE
    )
    assert embedding.page_for((), PAGE) == PAGE
