"""Recordings in players: ffprobe and ffmpeg, which users open them with, and Chromium's <video>."""

import asyncio
import base64
import contextlib
import functools
import io
import json
import os
import re
import shutil
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from streamer import emulator
from streamer.media.access_unit import AccessUnit
from tests.support import segment_writers
from tests.support.everywhere import Connect
from tests.support.peers.chromium_phone import PAGES, Chromium, Page, find_chromium
from tests.support.peers.presence import require_peer
from tests.support.prepared import COMMAND
from tests.support.recordings import START, audio, interleaved, packets, video
from tests.support.reordered import as_sent, record
from tests.support.segment_writers import HELD, feed, new
from tests.support.senders import allowing_reordering, encoded_as, number_in

LIMIT_S = 30.0
STILL_S = 2
TURNED = 30  # the number of the first frame after the phone was turned


@functools.cache
def eventful(codec: str) -> list[AccessUnit]:
    """Return frames with a still time among them, and after that in another size; and audio."""
    upright = video(encoded_as(codec, TURNED, keyframe_every=10), codec=codec, keyframe_every=10)
    after = encoded_as(codec, 60, size=(128, 160), keyframe_every=10)
    turned = video(after, start=START + 3000 * TURNED + 90_000 * STILL_S, codec=codec, keyframe_every=10)
    return interleaved([*upright, *turned], audio(250))


def write(path: Path, codec: str, *, start_ns: int | None = None) -> bytes:
    """Write a file; return what a process that is killed at the end would have left."""
    writer, units = new(path, has_audio=True, start_ns=start_ns), eventful(codec)
    feed(writer, units)
    left = path.read_bytes()
    writer.close(units[-1].arrival_ns, "stopped")
    return left


async def run(*command: str) -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complained = await process.communicate()
    assert process.returncode == 0, complained
    return said.decode(), complained.decode()


async def probe(path: Path) -> list[dict[str, Any]]:
    """Return ffprobe's facts about a file's streams; it decodes every frame, and must not complain."""
    ffprobe = require_peer("ffprobe", shutil.which("ffprobe"))
    fields = "stream=codec_name,nb_read_frames,width,height,channels"
    said, complained = await run(
        ffprobe, "-v", "warning", "-count_frames", "-show_entries", fields, "-of", "json", str(path)
    )
    assert complained == ""
    streams: list[dict[str, Any]] = json.loads(said)["streams"]
    return sorted(streams, key=lambda stream: "channels" in stream)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
async def test_ffmpeg_probes_and_decodes_a_recording_without_a_complaint(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    async with asyncio.timeout(LIMIT_S):
        async with connect(phone) as session, session.record(path) as recording:
            while recording.frames < 60:
                await asyncio.sleep(0.05)
        frame, tone = await probe(path)
        ffmpeg = require_peer("ffmpeg", shutil.which("ffmpeg"))
        # Times are passed on as they are: rounded to an even rate, which ffmpeg guesses, two would be the same.
        as_they_are = ("-fps_mode", "passthrough", "-enc_time_base:v", "1:90000")
        _, complained = await run(ffmpeg, "-v", "warning", "-xerror", "-i", str(path), *as_they_are, "-f", "null", "-")
    assert complained == ""
    assert (frame["codec_name"], frame["width"], frame["height"]) == ("h264", 360, 640)
    assert int(frame["nb_read_frames"]) == recording.frames
    assert (tone["codec_name"], tone["channels"]) == ("opus", 2)
    assert int(tone["nb_read_frames"]) == pytest.approx(50 * recording.duration_s, rel=0.2)


@pytest.mark.parametrize(("suffix", "codec"), HELD)
async def test_every_kind_of_recording_is_read_without_a_complaint_even_after_a_kill(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    whole, killed = tmp_path / f"whole{suffix}", tmp_path / f"killed{suffix}"
    killed.write_bytes(write(whole, codec))
    for path in (whole, killed):
        frame, tone = await probe(path)
        assert (frame["width"], frame["height"]) == (160, 128)
        least = TURNED + (60 if path is whole else 25)
        assert least <= int(frame["nb_read_frames"]) <= TURNED + 60
        assert int(tone["nb_read_frames"]) > 180


async def test_a_player_behind_a_pipe_shows_frames_as_they_arrive(phone: emulator.EmulatedPhone) -> None:
    """As in `streamer record … -o - | ffplay -`; this player writes what it shows."""
    ffmpeg = require_peer("ffmpeg", shutil.which("ffmpeg"))
    environment = os.environ | {"STREAMER_ENDPOINT": phone.endpoint, "STREAMER_AUTH_TOKEN": phone.tenant_token}
    shown_as = ("-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base:v", "1:90000", "-pix_fmt", "gray")
    soon = ("-analyzeduration", "500000", "-fflags", "nobuffer")
    out, into = os.pipe()
    async with asyncio.timeout(LIMIT_S):
        recorder = await asyncio.create_subprocess_exec(
            *(*COMMAND, "record", phone.instance_id, "-o", "-"),
            env=environment,
            stdout=into,
            stderr=asyncio.subprocess.PIPE,
        )
        player = await asyncio.create_subprocess_exec(
            *(ffmpeg, "-v", "error", *soon, "-i", "-", *shown_as, "-f", "rawvideo", "-flush_packets", "1", "-"),
            stdin=out,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(out)
        os.close(into)
        assert player.stdout is not None
        counters = []
        for _ in range(60):
            frame = np.frombuffer(await player.stdout.readexactly(360 * 640), dtype=np.uint8).reshape(640, 360)
            barcode = emulator.read_barcode(frame)
            assert barcode is not None
            counters.append(barcode.counter)
        assert recorder.returncode is None
        assert counters == list(range(counters[0], counters[0] + 60))
        recorder.send_signal(signal.SIGINT)
        await asyncio.gather(recorder.communicate(), player.communicate())
        assert await recorder.wait() == 0
        assert await player.wait() == 0


# Chromium


@contextlib.asynccontextmanager
async def files_at(directory: Path) -> AsyncGenerator[str]:
    """Serve the pages, and a directory, with what a player needs of HTTP: parts of files. Give the origin."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            name = head.split()[1].rpartition("/")[2].partition("?")[0]
            path = next((place / name for place in (PAGES, directory) if (place / name).is_file()), None)
            if path is None:
                writer.write(b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                return
            data = path.read_bytes()
            wanted = re.search(r"range: bytes=(\d+)-(\d*)", head, re.IGNORECASE)
            begin = int(wanted[1]) if wanted else 0
            end = int(wanted[2]) + 1 if wanted and wanted[2] else len(data)
            kind = {".html": "text/html", ".js": "text/javascript"}.get(path.suffix, "application/octet-stream")
            lines = [
                "HTTP/1.1 206 Partial Content" if wanted else "HTTP/1.1 200 OK",
                "connection: close",
                "accept-ranges: bytes",
                f"content-type: {kind}",
                f"content-length: {end - begin}",
                f"content-range: bytes {begin}-{end - 1}/{len(data)}",
            ]
            writer.write("\r\n".join([*lines, "", ""]).encode() + data[begin:end])
            await writer.drain()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"


@pytest.fixture
async def player(tmp_path: Path) -> AsyncIterator[Page]:
    """A page that plays files of `tmp_path`."""
    async with Chromium(require_peer("chromium", find_chromium())) as browser, files_at(tmp_path) as origin:
        yield await browser.open(f"{origin}/player.html")


def frame_of(shown: dict[str, Any]) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(shown["png"]))).convert("RGB"), dtype=np.uint8)


PLAYED = [(".mp4", "h264"), (".mp4", "vp9"), (".mp4", "av1"), (".webm", "vp8"), (".mkv", "h264")]


@pytest.mark.parametrize(("suffix", "codec"), PLAYED)
async def test_chromium_plays_a_recording_through_and_seeks_in_it(
    player: Page, tmp_path: Path, suffix: str, codec: str
) -> None:
    write(tmp_path / f"a{suffix}", codec)
    loaded = await player.evaluate(f"load('a{suffix}')")
    assert (loaded["width"], loaded["height"]) == (160, 128)
    assert loaded["duration"] == pytest.approx(3 + STILL_S, abs=0.05)
    still = await player.evaluate("seek(2.2)")
    assert still["begins"] == pytest.approx((TURNED - 1) / 30, abs=0.002)  # the frame that was on the screen then
    turned = await player.evaluate(f"seek({STILL_S + 1.52})")
    assert (turned["width"], turned["height"]) == (128, 160)
    assert turned["begins"] == pytest.approx(STILL_S + 1.5, abs=0.002)
    played = await player.evaluate("playThrough()")
    assert played["sizes"] == ["160x128", "128x160"]
    assert played["ended"] == pytest.approx(loaded["duration"])
    assert played["audioBytes"] > 0


async def test_chromium_plays_the_file_of_a_killed_process_and_seeks_in_it(player: Page, tmp_path: Path) -> None:
    left = write(tmp_path / "a.mp4", "h264")
    (tmp_path / "a.mp4").write_bytes(left)
    loaded = await player.evaluate("load('a.mp4')")
    assert loaded["duration"] > 1 + STILL_S
    turned = await player.evaluate(f"seek({STILL_S + 1.1})")
    assert (turned["width"], turned["height"]) == (128, 160)
    assert (await player.evaluate("seek(0.5)"))["begins"] == pytest.approx(0.5, abs=0.002)
    played = await player.evaluate("playThrough()")
    assert played["sizes"] == ["160x128", "128x160"]


async def test_chromium_shows_the_right_frame_at_each_time(
    phone: emulator.EmulatedPhone, connect: Connect, player: Page, tmp_path: Path
) -> None:
    path = tmp_path / "a.mp4"
    async with asyncio.timeout(LIMIT_S):
        async with connect(phone) as session, session.record(path) as recording:
            while recording.frames < 30:
                await asyncio.sleep(0.05)
            phone.rotate()
            while recording.frames < 60:
                await asyncio.sleep(0.05)
    expected: list[tuple[float, int]] = []
    with av.open(path) as container:
        for frame in container.decode(video=0):
            barcode = emulator.read_barcode(np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8))
            assert frame.time is not None
            assert barcode is not None
            expected.append((frame.time, barcode.counter))
    await player.evaluate("load('a.mp4')")
    for time, counter in (expected[50], expected[5], expected[35], expected[20]):
        shown = await player.evaluate(f"seek({time + 0.004})")
        barcode = emulator.read_barcode(frame_of(shown))
        assert barcode is not None
        assert barcode.counter == counter
    assert len(packets(path)) == recording.frames


def write_allowing_reordering(path: Path, codec: str) -> None:
    """Write a phone's 40 frames whose SPS allows reordering, though none is reordered. Recordings keep it as it is."""
    made = [data for _, data in allowing_reordering(codec, 40, keyframe_every=10)]
    segment_writers.write(new(path), video(made, codec=codec, keyframe_every=10))


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
async def test_ffmpeg_shows_each_frame_at_its_time_even_if_the_phone_allows_reordering(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    path = tmp_path / f"a{suffix}"
    write_allowing_reordering(path, codec)
    ffprobe, ffmpeg = (require_peer(name, shutil.which(name)) for name in ("ffprobe", "ffmpeg"))
    said, _ = await run(ffprobe, "-v", "error", "-show_entries", "frame=pts_time", "-of", "csv=p=0", str(path))
    times = [float(line.strip(",")) for line in said.split()]
    assert [round((time - times[0]) * 30) for time in times] == list(range(40))
    pixels = tmp_path / "pixels"
    as_they_are = ("-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray")
    await run(ffmpeg, "-v", "error", "-i", str(path), *as_they_are, str(pixels))
    shown = np.frombuffer(pixels.read_bytes(), dtype=np.uint8).reshape(-1, 128, 160)
    assert [number_in(av.VideoFrame.from_ndarray(image.copy(), format="gray")) for image in shown] == list(range(40))


@pytest.mark.parametrize("bidirectional", [1, 3])
@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
async def test_ffmpeg_plays_each_reordered_frame_at_its_time_without_a_complaint(
    tmp_path: Path, suffix: str, codec: str, bidirectional: int
) -> None:
    path, killed, pixels = tmp_path / f"a{suffix}", tmp_path / f"killed{suffix}", tmp_path / "pixels"
    ffprobe, ffmpeg = (require_peer(name, shutil.which(name)) for name in ("ffprobe", "ffmpeg"))
    units = as_sent(codec, allowing_reordering(codec, 40, bidirectional=bidirectional))
    _, left = record(path, interleaved(units, audio(60)), has_audio=True)
    killed.write_bytes(left)
    assert int((await probe(path))[0]["nb_read_frames"]) == 40
    if suffix != ".mkv":  # of which the first cluster is still open
        assert int((await probe(killed))[0]["nb_read_frames"]) >= 5
    entries = ("-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0")
    said, complained = await run(ffprobe, "-v", "warning", *entries, str(path))
    times = [float(line.strip(",")) for line in said.split()]
    assert [time - times[0] for time in times] == pytest.approx([number / 30 for number in range(40)], abs=0.001)
    as_they_are = ("-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base:v", "1:90000")
    to_pixels = ("-f", "rawvideo", "-pix_fmt", "gray", str(pixels))
    _, also = await run(ffmpeg, "-v", "warning", "-xerror", "-i", str(path), *as_they_are, *to_pixels)
    assert complained + also == ""
    shown = np.frombuffer(pixels.read_bytes(), dtype=np.uint8).reshape(-1, 128, 160)
    assert [number_in(av.VideoFrame.from_ndarray(image.copy(), format="gray")) for image in shown] == list(range(40))


async def test_chromium_shows_each_reordered_frame_at_its_time(player: Page, tmp_path: Path) -> None:
    record(tmp_path / "a.mp4", as_sent("h264", allowing_reordering("h264", 40, bidirectional=2)))
    await player.evaluate("load('a.mp4')")
    for number in (7, 0, 36, 11, 23):  # not the last ones: Chromium before 156 seeks by steps of decoding there
        shown = await player.evaluate(f"seek({number / 30 + 0.01})")
        assert number_in(av.VideoFrame.from_ndarray(frame_of(shown), format="rgb24")) == number


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
async def test_chromium_shows_each_frame_at_its_time_even_if_the_phone_allows_reordering(
    player: Page, tmp_path: Path, suffix: str
) -> None:
    write_allowing_reordering(tmp_path / f"a{suffix}", "h264")
    await player.evaluate(f"load('a{suffix}')")
    for number in (7, 0, 39, 10, 23):
        shown = await player.evaluate(f"seek({number / 30 + 0.01})")
        assert number_in(av.VideoFrame.from_ndarray(frame_of(shown), format="rgb24")) == number


async def test_chromium_plays_a_recording_with_preroll(player: Page, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write(path, "h264", start_ns=eventful("h264")[0].arrival_ns + 700_000_000)
    loaded = await player.evaluate("load('a.mp4')")
    assert loaded["duration"] == pytest.approx(2.3 + STILL_S, abs=0.05)
    assert (await player.evaluate("seek(0.11)"))["begins"] == pytest.approx(24 / 30 - 0.7, abs=0.002)
    played = await player.evaluate("playThrough()")
    assert played["ended"] == pytest.approx(loaded["duration"])
    assert packets(path)[0].time == 0
