"""streamer without asyncio: the same names, and each call waits for its result.

from streamer.sync import connect

with connect("Q39YyZvI", endpoint=..., credentials=streamer.Token("...")) as phone:
    for frame in phone.frames(max_fps=2):
        frame.save("screen.png")

All phones of a process share one thread with one event loop. So this works in any thread, several at once, and where an
event loop runs already, as in a notebook. Ctrl-C ends a wait at once. Errors, credentials, frames and events are those
of `streamer`.
"""

from streamer.sync.actions import Action, Finger
from streamer.sync.apps import AnimationsOff, Apps
from streamer.sync.cloud import Cloud, CloudPhone
from streamer.sync.expectations import PhoneExpectation, TargetExpectation, expect
from streamer.sync.iterators import AccessUnitIterator, AudioIterator, EventIterator, FrameIterator, MessageIterator
from streamer.sync.recording import Recording, clip
from streamer.sync.session import Session, connect
from streamer.sync.targets import Target
from streamer.sync.viewing import Viewer
from streamer.sync.waiting import timeout
from streamer.sync.watched import Watched, WatchedAction

__all__ = [
    "AccessUnitIterator",
    "Action",
    "AnimationsOff",
    "Apps",
    "AudioIterator",
    "Cloud",
    "CloudPhone",
    "EventIterator",
    "Finger",
    "FrameIterator",
    "MessageIterator",
    "PhoneExpectation",
    "Recording",
    "Session",
    "Target",
    "TargetExpectation",
    "Viewer",
    "Watched",
    "WatchedAction",
    "clip",
    "connect",
    "expect",
    "timeout",
]
