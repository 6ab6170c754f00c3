"""ffprobe and ffmpeg, the tools that users will open a recording with, accept it without a word."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from conftest import require_peer

from streamer import phone as embedded
from tests.everywhere import Connect


async def run(*command: str) -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complained = await process.communicate()
    assert process.returncode == 0
    return said.decode(), complained.decode()


async def test_a_recording_is_probed_and_decoded_without_a_complaint(
    phone: embedded.EmbeddedPhone, connect: Connect, tmp_path: Path
) -> None:
    ffprobe, ffmpeg = (require_peer(name, shutil.which(name)) for name in ("ffprobe", "ffmpeg"))
    path = tmp_path / "a.mp4"
    async with asyncio.timeout(30):
        async with connect(phone) as session, session.record(path) as recording:
            while recording.pictures < 60:
                await asyncio.sleep(0.05)
        fields = "stream=codec_name,nb_read_frames,width,height,channels"
        said, complained = await run(
            ffprobe, "-v", "warning", "-count_frames", "-show_entries", fields, "-of", "json", str(path)
        )
        _, decoding = await run(ffmpeg, "-v", "warning", "-xerror", "-i", str(path), "-f", "null", "-")
    assert (complained, decoding) == ("", "")
    video, audio = json.loads(said)["streams"]
    assert (video["codec_name"], video["width"], video["height"]) == ("h264", 360, 640)
    assert int(video["nb_read_frames"]) == recording.pictures
    assert (audio["codec_name"], audio["channels"]) == ("opus", 2)
    assert int(audio["nb_read_frames"]) == pytest.approx(50 * recording.duration_s, rel=0.2)
