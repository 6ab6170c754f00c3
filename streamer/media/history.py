"""The last moments of a stream, encoded. A new consumer decodes the current frame from them, and a recording can begin
in the past.

Frames are kept in groups: a keyframe and the frames after it. The last group is always kept, however old it is, since a
still screen may ignore requests for a keyframe. Older groups and audio are kept for `seconds`.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from streamer.bounded import Budget
from streamer.media.access_unit import AccessUnit

GROUP_LIMIT: Final = 600  # frames of one group: a second of decoding at most
BYTES_LIMIT: Final = 64 * 1024 * 1024  # of all groups
UNITS_LIMIT: Final = 20_000  # of all groups: five minutes at 60 a second
AUDIO_LIMIT: Final = 10_000  # packets: more than three minutes
AUDIO_BYTES_LIMIT: Final = 16 * 1024 * 1024
KEYFRAME_EVERY_NS: Final = 4_000_000_000  # with `seconds`: a recording can only begin with a keyframe

STILL_NS: Final = 500_000_000


@dataclass(slots=True)
class _Group:
    units: list[AccessUnit] = field(default_factory=list)
    is_asked: bool = False  # whether the next keyframe was requested

    @property
    def age_ns(self) -> int:
        return self.units[-1].arrival_ns - self.units[0].arrival_ns


class History:
    """A sink that keeps the last group of frames, and everything of the last `seconds`.

    It calls `ask_keyframe` when the last group becomes too old, or too long to be kept.
    """

    def __init__(self, seconds: float = 0.0, *, ask_keyframe: Callable[[], None]) -> None:
        self._kept_ns = round(seconds * 1e9)
        self._ask_keyframe = ask_keyframe
        self._groups: deque[_Group] = deque()
        self._has_forgotten = False
        self._audio: deque[AccessUnit] = deque()
        self._audio_budget = Budget(max_items=AUDIO_LIMIT, max_bytes=AUDIO_BYTES_LIMIT)
        self._budget = Budget(max_items=UNITS_LIMIT, max_bytes=BYTES_LIMIT)  # of all groups

    def put(self, unit: AccessUnit) -> None:
        """Keep a unit, and forget what is no longer needed."""
        if unit.kind == "audio":
            self._put_audio(unit)
            return
        if unit.is_keyframe:
            self._groups.append(_Group())
        elif not self._groups:
            return
        group = self._groups[-1]
        group.units.append(unit)
        self._budget.add(len(unit.data))
        oldest_ns = unit.arrival_ns - self._kept_ns
        while len(self._groups) > 1 and (self._groups[1].units[0].arrival_ns <= oldest_ns or self._budget.is_exceeded):
            self._forget_oldest()
        if len(group.units) > GROUP_LIMIT or self._budget.is_exceeded:
            while self._groups:
                self._forget_oldest()
            self._ask_keyframe()
        elif self._kept_ns and not group.is_asked and group.age_ns >= KEYFRAME_EVERY_NS:
            group.is_asked = True
            self._ask_keyframe()

    @property
    def last_group(self) -> list[AccessUnit]:
        """The last keyframe and the frames after it. Empty without a keyframe, or if the group became too long."""
        return self._groups[-1].units if self._groups else []

    @property
    def newest_rtp_time(self) -> int | None:
        """The RTP time of the newest frame; None if none is kept. Any thread may ask."""
        return group[-1].rtp_time if (group := self.last_group) else None

    def is_still(self, now_ns: int) -> bool:
        """Whether the screen is still: the last frame is older than STILL_NS."""
        return bool(self.last_group) and now_ns - self.last_group[-1].arrival_ns > STILL_NS

    def covers(self, begin_ns: int) -> bool:
        """Whether every frame since `begin_ns` is kept, and what was on the screen then."""
        return not self._has_forgotten or any(group.units[0].arrival_ns <= begin_ns for group in self._groups)

    def frames_since(self, begin_ns: int) -> list[AccessUnit]:
        """Return the frames from the keyframe before `begin_ns` on, in order of arrival."""
        begun = [group for group in self._groups if group.units[0].arrival_ns <= begin_ns]
        groups = list(self._groups)[max(len(begun) - 1, 0) :]
        return [unit for group in groups for unit in group.units]

    def since(self, begin_ns: int) -> list[AccessUnit]:
        """Return everything from the keyframe before `begin_ns` on, in order of arrival."""
        frames = self.frames_since(begin_ns)
        audio = [unit for unit in self._audio if unit.arrival_ns >= begin_ns]
        return list(heapq.merge(frames, audio, key=attrgetter("arrival_ns"))) if frames else []

    def _put_audio(self, unit: AccessUnit) -> None:
        if not self._kept_ns:
            return
        self._audio.append(unit)
        self._audio_budget.add(len(unit.data))
        while self._audio_budget.is_exceeded or self._audio[0].arrival_ns < unit.arrival_ns - self._kept_ns:
            self._audio_budget.remove(len(self._audio.popleft().data))

    def _forget_oldest(self) -> None:
        self._has_forgotten = True
        for unit in self._groups.popleft().units:
            self._budget.remove(len(unit.data))
