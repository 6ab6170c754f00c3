"""Secrets: they compare, they are handed out on purpose, and nothing prints them."""

import copy
import json
import logging
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import MissingExtraError, StreamerError
from streamer.rtc.ice import IceServer
from streamer.secret import Secret

VALUE = "hunter2-\u00fc"


@pytest.mark.parametrize(
    "shown",
    [
        repr(Secret(VALUE)),
        str(Secret(VALUE)),
        f"{Secret(VALUE)!s:>20}",
        "%s %r" % (Secret(VALUE), Secret(VALUE)),  # noqa: UP031 - as logging formats
        repr([{"token": Secret(VALUE)}]),
        repr(IceServer(scheme="turn", host="h", port=1, transport="udp", username="u", password=Secret(VALUE))),
        str(StreamerError("refused", Secret(VALUE))),
    ],
)
def test_no_way_of_showing_a_secret_shows_its_value(shown: str) -> None:
    assert "Secret(***)" in shown
    assert VALUE not in shown


def test_an_exception_that_carries_a_secret_is_printed_without_it(caplog: pytest.LogCaptureFixture) -> None:
    error = StreamerError(Secret(VALUE))
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("streamer.test").error("failed with %r", error.args, exc_info=error)
    printed = caplog.text + "".join(traceback.format_exception(error))
    assert printed.count("Secret(***)") == 3
    assert VALUE not in printed


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_goes_to_no_other_process(protocol: int) -> None:
    with pytest.raises(TypeError, match=r"reveal\(\)") as caught:
        pickle.dumps({"token": Secret(VALUE)}, protocol)
    assert VALUE not in str(caught.value)


def test_a_secret_becomes_neither_json_nor_a_copy_nor_attributes() -> None:
    with pytest.raises(TypeError):
        json.dumps(Secret(VALUE))
    with pytest.raises(TypeError):
        copy.deepcopy(Secret(VALUE))
    with pytest.raises(TypeError):
        vars(Secret(VALUE))


@given(st.text(), st.text())
def test_secrets_compare_as_their_values_do(one: str, other: str) -> None:
    """The law: for any two strings, equality, hash and truth of the secrets are those of the strings."""
    assert (Secret(one) == Secret(other)) == (one == other)
    assert Secret(one) == Secret(one)
    assert hash(Secret(one)) == hash(Secret(one))
    assert bool(Secret(one)) == bool(one)
    assert Secret(one).reveal() == one
    assert Secret(one) != one


def test_a_missing_extra_says_how_to_get_it() -> None:
    error = MissingExtraError("signing", "aksk")
    assert str(error) == "signing needs the extra 'aksk': pip install 'koophone-streamer[aksk]'"
    assert error.extra == "aksk"
