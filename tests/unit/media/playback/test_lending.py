"""Things are lent to one borrower at a time."""

import subprocess
import sys

import pytest

from streamer.media.playback.lending import Lending


def test_a_thing_is_lent_again_to_who_wants_its_kind() -> None:
    made: list[str] = []

    def make(kind: str) -> object:
        made.append(kind)
        return object()

    lending = Lending(make, limit=2)
    with lending.lend("a") as first:
        pass
    with lending.lend("b"):
        pass
    with lending.lend("a") as second:
        assert second is first
    assert made == ["a", "b"]


def test_two_borrowers_never_have_the_same_thing() -> None:
    lending: Lending[str, object] = Lending(lambda _: object(), limit=2)
    with lending.lend("a") as first, lending.lend("a") as second:
        assert first is not second
    with lending.lend("a") as third, lending.lend("a") as fourth:
        assert {third, fourth} == {first, second}


def test_only_the_latest_are_kept() -> None:
    made: list[int] = []

    def make(kind: int) -> int:
        made.append(kind)
        return kind

    lending = Lending(make, limit=2)
    for kind in (1, 2, 3, 2, 3, 1):
        with lending.lend(kind):
            pass
    assert made == [1, 2, 3, 1]


def test_what_was_in_use_at_an_error_is_not_lent_again() -> None:
    lending: Lending[str, object] = Lending(lambda _: object(), limit=2)
    lent: list[object] = []

    def fail() -> None:
        with lending.lend("a") as thing:
            lent.append(thing)
            raise ValueError("broken")

    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            fail()
    assert lent[0] is not lent[1]


_FORKS_WHILE_LOCKED = """
import contextlib, os, signal
import av
from streamer.media.playback import pixels, swscale
from streamer.media.playback.array_pool import ARRAYS

frame = av.VideoFrame(640, 480, "yuv420p")
with contextlib.ExitStack() as stack:
    for each in (ARRAYS, swscale._contexts, pixels._reformatters):
        stack.enter_context(each._lock)  # as another thread may, at any moment
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        pixels.Conversion("rgb24")(frame)
        pixels.Conversion("rgb24", (320, 240))(frame)
        os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.edge
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_fork_of_the_process_converts_also_if_another_thread_did_when_it_began() -> None:
    subprocess.run([sys.executable, "-c", _FORKS_WHILE_LOCKED], check=True)
