"""Every target over its corpus, and over changed copies of it: a glance. `make fuzz` looks longer, at coverage too."""

import random
from pathlib import Path
from typing import Final

import pytest

from tests.fuzz.__main__ import INPUT_LIMIT
from tests.fuzz.inputs import SEPARATOR
from tests.fuzz.targets import TARGETS
from tests.support.corpus import CORPUS

# Some four minutes of processor time in all.
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
    known = seeds(target)
    for _ in range(CHANGES[target]):
        data = changed(chance, known)
        try:
            TARGETS[target](data)
        except BaseException as error:
            error.add_note(f"the input, for {target}: {data!r}")
            raise


def changed(chance: random.Random, known: list[bytes]) -> bytes:
    """Return an input that has much of the known ones: pieces are cut out, doubled, changed, or put from another."""
    data = bytearray(chance.choice(known))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        end = min(at + chance.choice((1, 2, 4, 16, 200)), len(data))
        match chance.randrange(6):
            case 0:
                del data[at:end]
            case 1:
                data[at:at] = data[at:end]
            case 2:
                data[at:end] = chance.randbytes(end - at)
            case 3:
                data[at:end] = chance.choice((b"\x00", b"\xff", b"\x7f", b"\x80", b"0", b"-1", SEPARATOR)) * (end - at)
            case 4:
                other = chance.choice(known)
                begin = chance.randrange(len(other) + 1)
                data[at:end] = other[begin : begin + chance.choice((4, 40, 400))]
            case _:
                del data[at:]
    return bytes(data[:INPUT_LIMIT])
