import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.cloud.error_codes import meaning_of

WAITING_HELPS = {"2003", "2005", "2006", "9999"}
NOTHING_HELPS = {
    "0000", "0001", "0002", "0004", "0005", "1000", "1001", "1002", "1004", "1012", "2001", "2002", "2004",
    "3002", "3003", "3006", "3007", "3008", "4001",
}  # fmt: skip


@pytest.mark.parametrize("number", sorted(WAITING_HELPS))
def test_codes_that_ask_to_wait_are_retryable(number: str) -> None:
    meaning = meaning_of(f"KOOPHONE.API.{number}")
    assert meaning is not None
    assert meaning.retryable
    assert meaning.text


@pytest.mark.parametrize("number", sorted(NOTHING_HELPS))
def test_the_other_codes_of_the_table_are_final(number: str) -> None:
    meaning = meaning_of(f"KOOPHONE.API.{number}")
    assert meaning is not None
    assert not meaning.retryable
    assert meaning.text


def test_no_two_codes_have_the_same_meaning() -> None:
    codes = WAITING_HELPS | NOTHING_HELPS
    assert len({meaning_of(f"KOOPHONE.API.{number}") for number in codes}) == len(codes)


@pytest.mark.parametrize("code", ["KooPhone.API.1001", "koophone.api.1001", "KOOPHONE.API.1001"])
def test_the_letter_case_of_a_code_does_not_matter(code: str) -> None:
    meaning = meaning_of(code)
    assert meaning is not None
    assert meaning.text == "no permission on this instance"


@pytest.mark.parametrize("code", ["", "0", "1001", "KOOPHONE.API.", "KOOPHONE.API.3009", "APIGW.0301", "common.1001"])
def test_a_code_outside_the_table_has_no_meaning(code: str) -> None:
    assert meaning_of(code) is None


@given(st.text())
def test_any_text_may_be_looked_up(code: str) -> None:
    """Law: whatever the code, the answer is a row of the table or None."""
    meaning = meaning_of(code)
    assert meaning is None or meaning.text
