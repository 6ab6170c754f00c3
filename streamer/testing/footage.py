"""`Footage`: what a phone sent during a test, encoded, and how many frames came in each second.

It is kept in memory, so a test that passes writes nothing. Its keyframes and the frames after them are dropped from the
oldest on, once there are too many: the video of a very long test then begins later.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from streamer.bounded import Budget
from streamer.media.access_unit import AccessUnit
from streamer.timeline.journal import unix_time
from streamer.timeline.records import Frames

BYTES_LIMIT: Final = 128 * 1024 * 1024  # two minutes at 8 Mbit/s, a quarter of an hour at 1 Mbit/s
UNITS_LIMIT: Final = 200_000  # an hour of 30 frames a second and audio
SECONDS_LIMIT: Final = 36_000  # ten hours, whose frames are counted
_S: Final = 1_000_000_000


@dataclass(slots=True)
class _Second:
    end_ns: int
    frames: int = 0
    bytes: int = 0
    longest_gap: int = 0  # in ticks of the phone's clock
    rtp_time: int | None = None


class Footage:
    """A sink that keeps what was sent since `begin_ns` (monotonic), from the keyframe before it on.

    `before` is what had come until then, from a keyframe on. One thread puts; another may read.
    """

    def __init__(self, before: Iterable[AccessUnit], *, begin_ns: int, now_ns: int) -> None:
        self.begin_ns = begin_ns
        self._groups: deque[list[AccessUnit]] = deque()  # each from a keyframe on
        self._budget = Budget(max_items=UNITS_LIMIT, max_bytes=BYTES_LIMIT)
        self._seconds: deque[_Second] = deque([_Second(now_ns + _S)], maxlen=SECONDS_LIMIT)
        self._last: tuple[int, int] | None = None  # the SSRC and the RTP time of the newest frame
        for unit in before:
            self._keep(unit)

    def put(self, unit: AccessUnit) -> None:
        """Keep a unit, and count a frame."""
        self._keep(unit)
        if unit.kind == "video":
            self._count(unit)

    @property
    def units(self) -> list[AccessUnit]:
        """All that is kept, in order of arrival, from a keyframe on."""
        return [unit for group in tuple(self._groups) for unit in tuple(group)]

    @property
    def last_group(self) -> list[AccessUnit]:
        """The frames from the last keyframe on."""
        groups = tuple(self._groups)
        return [unit for unit in tuple(groups[-1]) if unit.kind == "video"] if groups else []

    def seconds(self, now_ns: int) -> list[Frames]:
        """Return how many frames came in each second up to now, since the footage was begun."""
        self._reach(now_ns)
        return [
            Frames(
                at=unix_time(min(second.end_ns, now_ns)),
                rtp_time=second.rtp_time,
                frames=second.frames,
                longest_gap_s=round(second.longest_gap / 90_000, 4),
                bytes=second.bytes,
            )
            for second in tuple(self._seconds)
        ]

    def _keep(self, unit: AccessUnit) -> None:
        if unit.kind == "video" and unit.is_keyframe:
            self._groups.append([])
        elif not self._groups:
            return
        self._groups[-1].append(unit)
        self._budget.add(len(unit.data))
        while self._budget.is_exceeded:
            for old in self._groups.popleft():
                self._budget.remove(len(old.data))

    def _count(self, unit: AccessUnit) -> None:
        self._reach(unit.arrival_ns)
        second = self._seconds[-1]
        second.frames += 1
        second.bytes += len(unit.data)
        second.rtp_time = unit.rtp_time
        if self._last is not None and self._last[0] == unit.ssrc:
            second.longest_gap = max(second.longest_gap, unit.rtp_time - self._last[1])
        self._last = unit.ssrc, unit.rtp_time

    def _reach(self, now_ns: int) -> None:
        while (last := self._seconds[-1]).end_ns < now_ns:
            self._seconds.append(_Second(last.end_ns + _S, rtp_time=last.rtp_time))
