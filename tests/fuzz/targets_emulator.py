"""Targets of the emulator: what a client does to its screen."""

from functools import cache

from streamer.emulator.apps import Desktop
from streamer.emulator.device import BUILT_IN, Launch
from streamer.emulator.input_frames import Text, read_input


@cache
def _desktop() -> Desktop:
    return Desktop(90, 160, fps=10)  # one for all inputs: what is left of one meets the next


def phone_input(data: bytes) -> None:
    """A message of the data channel `input` → touches and keys → a frame of one of the apps."""
    desktop = _desktop()
    desktop.receive(Launch(BUILT_IN[sum(data) % len(BUILT_IN)]), 0.0)
    for read in read_input(data):
        if not isinstance(read, Text):
            desktop.receive(read, 0.0)
    width, height = desktop.size
    assert {width, height} == {90, 160}
    if data[-1:] < b"\x10":
        assert desktop.draw(0.0).shape == (height, width, 3)
