"""The emulator's faults as words of the command line."""

import pytest

from streamer.emulator import Faults
from streamer.errors import ConfigurationError


def test_an_empty_text_has_no_faults() -> None:
    assert Faults.parse([]) == Faults()


def test_each_kind_of_fault_is_read() -> None:
    faults = Faults.parse(["no_pong", "auth_code=KOOPHONE.API.2005", "refuse_start=7", "close_after_s=1.5"])
    assert faults == Faults(no_pong=True, auth_code="KOOPHONE.API.2005", refuse_start=7, close_after_s=1.5)


@pytest.mark.parametrize("word", ["nonsense", "no_pong=1", "auth_code", "refuse_start=soon", "close_after_s=x"])
def test_an_unknown_fault_is_refused_by_name(word: str) -> None:
    with pytest.raises(ConfigurationError, match=word.partition("=")[0]):
        Faults.parse([word])


def test_every_fault_says_in_one_line_what_it_does() -> None:
    meanings = Faults.describe()
    assert meanings
    assert all(meaning and "\n" not in meaning for meaning in meanings.values())
