"""What a session tells of itself, over a real connection."""

import asyncio

import pytest

from streamer import WaitTimeoutError, emulator
from streamer.timeline import records
from streamer.timeline.records import Record
from tests.support.everywhere import Connect

pytestmark = pytest.mark.edge
LIMIT_S = 60.0


async def test_a_session_tells_what_was_done_waited_for_and_seen(connect: Connect) -> None:
    told: list[Record] = []
    async with (
        emulator.serve(width=180, height=320, fps=20, audio=False, screen="apps") as phone,
        connect(phone) as session,
        asyncio.timeout(LIMIT_S),
    ):
        await session.screenshot()
        with session._journal.heard_by(told.append):
            with session.step("open the settings"):
                settled = await session.tap(0.125, 0.2).settled(timeout_s=LIMIT_S)
            with pytest.raises(WaitTimeoutError):
                await session.wait_for_color(0.5, 0.5, "#123456", tolerance=0, timeout_s=0.05)
            await session.press("HOME").changed(timeout_s=LIMIT_S)
            await session.type("Ab")
        await session.press("HOME")
    kinds = [type(record) for record in told]
    assert kinds.count(records.Touch) == kinds.count(records.Step) == kinds.count(records.Key) == 1
    (step,) = (record for record in told if isinstance(record, records.Step))
    (touch,) = (record for record in told if isinstance(record, records.Touch))
    assert (step.name, step.outcome) == ("open the settings", "passed")
    assert touch.verb == "tap"
    assert touch.paths[0][0][:2] == (0.125, 0.2)
    assert step.at <= touch.at <= step.at + step.duration_s
    measured = [record for record in told if isinstance(record, records.Measured)]
    assert [record.settled_s for record in measured] == [settled.settled_s, None]
    waits = [record for record in told if isinstance(record, records.Wait)]
    assert [(wait.what, wait.outcome) for wait in waits] == [
        ("a still screen", "met"),
        ("the color #123456 at (0.5, 0.5)", "timed out"),
        ("a change", "met"),
    ]
    changes = [record for record in told if isinstance(record, records.Change)]
    assert len([change for change in changes if change.at < waits[1].at]) == settled.frames
    assert all(0 < change.share <= 1 and change.rtp_time for change in changes)
    text = told[-1]
    assert isinstance(text, records.Text)
    assert (text.length, text.text, text.error) == (2, "Ab", None)
