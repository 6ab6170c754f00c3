"""Every target over its corpus, and over changed copies of it: a glance. `make fuzz` looks longer, at coverage too."""

import random
from pathlib import Path
from typing import Final

import pytest

from tests.fuzz.__main__ import INPUT_LIMIT
from tests.fuzz.inputs import SEPARATOR
from tests.fuzz.targets import TARGETS
from tests.support.corpus import CORPUS

# About a minute of processor time in all.
CHANGES: Final = dict.fromkeys(TARGETS, 60_000) | {
    "sdp": 20_000,
    "av1": 30_000,
    "offer": 3000,
    "untrusted_text": 20_000,
    "phone_answer": 300,
    "stun": 30_000,
    "turn": 10_000,
    "data_channels": 10_000,
    "phone_input": 3000,
    "recording": 15_000,
    "http_body": 5000,
    "api_reply": 10_000,
}

LENGTHS: Final = (1, 2, 4, 16, 200)  # of what is changed
PIECES: Final = (4, 40, 400)  # lengths of what comes from another input
FILLINGS: Final = (b"\x00", b"\xff", b"\x7f", b"\x80", b"0", b"-1", SEPARATOR)
# What is left of one input meets the next one: here the same input once more is another case.
STATEFUL: Final = {"phone_input"}
SHORT: Final = 64  # bytes; of inputs so short, many come more than once

pytestmark = pytest.mark.timeout(600)  # it only takes processor time, at a low priority


def seeds(target: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(Path(CORPUS, target).iterdir())]


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_the_law_holds_for_the_corpus_and_for_empty_input(target: str) -> None:
    for data in [b"", *seeds(target)]:
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_the_law_holds_for_changed_inputs(target: str) -> None:
    chance = random.Random(target)  # the same in every run: what fails once fails again
    known, tried = seeds(target), set[bytes]()
    for _ in range(CHANGES[target]):
        data = changed(chance, known)
        if len(data) <= SHORT and target not in STATEFUL:
            if data in tried:
                continue
            tried.add(data)
        try:
            TARGETS[target](data)
        except BaseException as error:
            error.add_note(f"the input, for {target}: {data!r}")
            raise


def changed(chance: random.Random, known: list[bytes]) -> bytes:
    """Return an input that has much of the known ones: pieces are cut out, doubled, changed, or put from another."""
    number = chance.random  # times a limit, it is drawn in a fraction of the time that `randrange` takes
    data = bytearray(known[int(number() * len(known))])
    for _ in range(1 + int(number() * 6)):
        at = int(number() * (len(data) + 1))
        end = min(at + LENGTHS[int(number() * len(LENGTHS))], len(data))
        match int(number() * 6):
            case 0:
                del data[at:end]
            case 1:
                data[at:at] = data[at:end]
            case 2:
                data[at:end] = chance.randbytes(end - at)
            case 3:
                data[at:end] = FILLINGS[int(number() * len(FILLINGS))] * (end - at)
            case 4:
                other = known[int(number() * len(known))]
                begin = int(number() * (len(other) + 1))
                data[at:end] = other[begin : begin + PIECES[int(number() * len(PIECES))]]
            case _:
                del data[at:]
    return bytes(data[:INPUT_LIMIT])
