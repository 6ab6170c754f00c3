"""An encoder that stands still: the recording says so, keeps what it has, and the process can end."""

import asyncio
import os
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.errors import RecordingError
from streamer.media.recording import encoder_thread, transcode
from streamer.media.recording.encoder_thread import EncoderThread
from streamer.media.recording.transcode import Transcode
from tests.support.prepared import PYTHON
from tests.support.recording_session import LIMIT_S, S, Session
from tests.support.recordings import packets, video
from tests.support.senders import encoded
from tests.support.standing_still import GOOD, stand_still


@pytest.fixture
def come(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    event = threading.Event()
    monkeypatch.setattr(encoder_thread, "PATIENCE_S", 1)
    monkeypatch.setattr(transcode, "open_encoder", stand_still(event))
    yield event
    event.set()  # so that its thread ends with the test


@pytest.mark.parametrize("count", [GOOD + 60, GOOD - 10])
async def test_a_recording_whose_encoder_stands_still_ends_with_an_error_and_keeps_what_it_has(
    tmp_path: Path, come: threading.Event, count: int
) -> None:
    session, path = Session(), tmp_path / "a.mp4"
    recording = session.record(path, transcode=Transcode())
    session.put(recording, video(encoded(count, keyframe_every=10)))
    session.now_ns += S // 30
    async with asyncio.timeout(LIMIT_S):
        if count > GOOD:
            await recording.closed()  # by itself: nobody has stopped it
        with pytest.raises(RecordingError, match="because the encoder gave nothing for 1 s: the file has") as caught:
            await recording.stop()
    assert not come.is_set()
    assert caught.value is recording.error
    assert caught.value.reason == "encode"
    assert [segment.ended for segment in recording.segments] == ["error"]
    found = packets(path)
    assert len(found) == recording.frames == min(count, GOOD)


def test_a_thread_returns_what_a_function_returns_and_raises_what_it_raises() -> None:
    thread = EncoderThread("h265")
    assert thread.call(threading.current_thread).name == "encode h265"
    with pytest.raises(ZeroDivisionError):
        thread.call(lambda: 1 // 0)
    thread.close()
    assert "encode h265" not in {other.name for other in threading.enumerate()}


def test_a_thread_that_was_never_needed_is_never_started() -> None:
    thread = EncoderThread("av1")
    thread.close()
    assert "encode av1" not in {other.name for other in threading.enumerate()}


LEFT = """
    import asyncio, threading
    from pathlib import Path
    from streamer.errors import RecordingError
    from streamer.media.recording import encoder_thread, transcode
    from tests.support.recording_session import Session
    from tests.support.recordings import video
    from tests.support.standing_still import stand_still

    encoder_thread.PATIENCE_S = 1
    transcode.open_encoder = stand_still(threading.Event())

    async def main():
        session = Session()
        recording = session.record(Path("a.mp4"), transcode=transcode.Transcode())
        session.put(recording, video())
        try:
            await recording.stop()
        except RecordingError as error:
            print(error)

    asyncio.run(main())
    print(sorted(thread.name for thread in threading.enumerate()))
"""


@pytest.mark.edge
async def test_a_process_ends_whose_encoder_stands_still(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[4])}
    process = await asyncio.create_subprocess_exec(
        *PYTHON, "-c", textwrap.dedent(LEFT), stdout=asyncio.subprocess.PIPE, cwd=tmp_path, env=environment
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    error, threads = said.decode().splitlines()
    assert error.startswith("encoding h264 stopped, because the encoder gave nothing for 1 s")
    assert threads == "['MainThread', 'encode h264']"
