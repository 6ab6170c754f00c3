"""What counts as the text that is looked for, and what is given instead."""

import re

import numpy as np
import pytest

import streamer
from streamer.targets.matches import Found
from streamer.targets.reading import CallingReader, TextLine
from streamer.targets.text import NEARBY_LIMIT, TextFinder
from streamer.watch.region import Region
from tests.support.app_screens import frame_of

FRAME = frame_of(np.zeros((400, 300, 3), np.uint8))


def find(
    text: str | re.Pattern[str], *lines: str | TextLine, exact: bool = False, within: Region | None = None
) -> Found:
    """Look for a text among lines, which stand below each other, 10 pixels a character."""
    read = [
        line if isinstance(line, TextLine) else TextLine(line, Region(20, 30 * number, 10 * len(line), 20), 0.9)
        for number, line in enumerate(lines)
    ]
    return TextFinder(CallingReader(lambda _: read), text, exact=exact).find(FRAME, within)


def texts(found: Found) -> list[str | None]:
    return [match.text for match in found.matches]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Sign in", "Please sign in now"),
        ("Sign  in\n", "SIGN IN"),
        ("Sign in", "Signin"),
        ("Signing in …", "Signing in ..."),
        ("it's 5\u20136", "It\u2019s 5-6"),
        ("Order O815", "Order 0815"),
        ("Illinois", "lllinois"),
        ("\uff37i-Fi", "Wi-Fi"),  # in compatibility form
    ],
)
def test_a_part_of_a_line_matches_whatever_case_spaces_and_look_alikes(text: str, line: str) -> None:
    assert len(find(text, line).matches) == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Sign in", "Sign up"),
        ("10", "Hello"),  # a short text has no look-alikes
        ("O0Il", "0OlI"),  # not every character can be one
        ("Total 12", "Total 72"),
        ("Sign in", " "),
    ],
)
def test_what_reads_otherwise_does_not_match(text: str, line: str) -> None:
    assert not find(text, line).matches


@pytest.mark.parametrize("line", ["Delete a note", "delete", "Delete?"])
def test_exact_means_the_whole_line_in_the_same_case(line: str) -> None:
    assert not find("Delete", line, exact=True).matches
    assert texts(find("Delete", line, "Delete", exact=True)) == ["Delete"]


def test_a_pattern_is_searched_for_in_each_line() -> None:
    found = find(re.compile(r"\d+ notes?"), "You have 12 notes", "1 note", "no notes")
    assert texts(found) == ["12 notes", "1 note"]
    assert not find(re.compile(r"x*"), "no notes").matches


def test_the_place_is_the_part_of_the_line_that_the_text_takes() -> None:
    assert find("notes", "You have 12 notes").matches[0].region == Region(140, 0, 50, 20)
    assert find("youhave", "You have 12 notes").matches[0].region == Region(20, 0, 80, 20)


def test_the_place_follows_the_middles_of_the_characters() -> None:
    line = TextLine("Will", Region(100, 50, 100, 20), 0.9, (0.3, 0.7, 0.8, 0.9))
    assert find("ill", line).matches[0].region == Region(150, 50, 50, 20)
    assert find("W", line).matches[0].region == Region(100, 50, 50, 20)


def test_matches_come_in_reading_order_with_the_readers_score() -> None:
    right, left = (TextLine("OK", Region(x, 100, 20, 20), 0.8) for x in (200, 20))
    found = find("ok", "ok ok", right, left)
    assert [match.center for match in found.matches] == [(30, 10), (60, 10), (30, 110), (210, 110)]
    assert [match.score for match in found.matches] == [0.9, 0.9, 0.8, 0.8]


def test_only_what_lies_in_the_part_of_the_frame_matches_or_is_near() -> None:
    assert texts(find("save", "Save", "Save", "Save", within=Region(0, 25, 300, 40))) == ["Save"]
    assert not find("save", "Save as", within=Region(0, 0, 40, 100)).matches
    found = find("save", "Sale", "Safe", within=Region(0, 25, 300, 40))
    assert found.nearby == ("Safe",)


def test_the_nearest_line_is_the_one_with_the_fewest_edits() -> None:
    found = find("Sign in", "Account", "Please sign up", "Settings")
    assert found.nearest is not None
    assert found.nearest.text == "Please sign up"
    assert found.nearest.score == pytest.approx(4 / 6)
    assert str(found.nearest) == '"Please sign up" at (90, 40), 0.66'
    assert found.nearby[0] == "Please sign up"


def test_exact_counts_all_edits_of_the_line() -> None:
    found = find("Delete", "Delete a note", "delete", exact=True)
    assert found.nearest is not None
    assert found.nearest.text == "delete"
    assert found.nearest.score == pytest.approx(5 / 6)


def test_nothing_near_is_no_nearest_and_the_texts_are_bounded() -> None:
    found = find("Sign in", *(f"row {number}" for number in range(40)))
    assert found.nearest is None
    assert len(found.nearby) == NEARBY_LIMIT
    assert find(re.compile("x+"), "row 1").nearest is None


@pytest.mark.parametrize(("text", "name"), [("Pay", '"Pay"'), (re.compile(r"\d+ €"), r"/\d+ €/")])
def test_messages_call_it_by_its_text(text: str | re.Pattern[str], name: str) -> None:
    assert TextFinder(CallingReader(lambda _: ()), text).name == name


@pytest.mark.parametrize("text", ["", " \n", 5, None, b"Pay"])
def test_a_text_that_cannot_be_looked_for_is_refused(text: object) -> None:
    with pytest.raises(streamer.ConfigurationError, match="expected a text with a visible character"):
        TextFinder(CallingReader(lambda _: ()), text)  # type: ignore[arg-type]
