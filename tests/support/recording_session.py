"""A recording without a session: a clock that follows what is put, and the keyframes that were asked for."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamer.media.access_unit import AccessUnit
from streamer.media.recording.recording import Recording
from streamer.media.recording.transcode import Transcode

LIMIT_S = 30.0
S = 1_000_000_000
NOON_NS = 1_800_000_000 * S


class Session:
    """Stands where the session does; its clock is the arrival of what was put last."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.asked = 0
        self.noon_ns = NOON_NS
        self.ended: list[Recording] = []

    def ask(self) -> None:
        self.asked += 1

    def record(self, target: Any, *, has_audio: bool = False, **options: Any) -> Recording:
        return Recording(
            target,
            has_audio=has_audio,
            on_end=self.ended.append,
            request_keyframe=self.ask,
            clock_ns=lambda: self.now_ns,
            unix_ns=lambda: self.noon_ns + self.now_ns,
            **options,
        )

    def put(self, recording: Recording, units: Sequence[AccessUnit]) -> None:
        for unit in units:
            self.now_ns = unit.arrival_ns
            recording.put(unit)


async def recorded(path: Path, units: Sequence[AccessUnit], **options: Any) -> Recording:
    """Record units as they are, at once."""
    session = Session()
    async with asyncio.timeout(LIMIT_S):
        async with session.record(path, **options) as recording:
            session.put(recording, units)
            session.now_ns += S // 30
    return recording


async def transcoded(path: Path, units: Sequence[AccessUnit], *, lasts_s: float = 0.0, **options: Any) -> Recording:
    """Encode and record units at once, as their clock says, and for so much longer."""
    session = Session()
    begin_ns = units[0].arrival_ns
    has_audio = any(unit.kind == "audio" for unit in units)
    async with asyncio.timeout(LIMIT_S):
        async with session.record(path, has_audio=has_audio, transcode=Transcode(**options)) as recording:
            session.put(recording, units)
            session.now_ns = max(session.now_ns + S // 30, begin_ns + round(lasts_s * S))
    return recording
