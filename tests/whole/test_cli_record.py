"""streamer record and streamer audio, as a user runs them."""

import asyncio
import json
import os
import re
import signal
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from streamer import emulator
from streamer.emulator import EmulatedPhone, Faults
from tests.support.commands import end, environment, run, running, size_of, streams, until_written


async def test_record_writes_the_given_seconds_and_shows_its_progress(phone: EmulatedPhone, tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    words = ("record", phone.instance_id, "-o", path, "--duration", 1.5)
    ended = await run(*words, env=environment(phone, FORCE_COLOR="1"))  # the progress is for terminals
    assert ended.code == 0, ended.err
    names, frames = streams(path)
    assert names == ["h264", "opus"]
    assert f"{frames} frames" in ended.out.replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert path.name in ended.out
    for word in ("streaming", "fps", "Mbit/s", "lost", "kB"):
        assert word in ended.err


async def test_statistics_are_printed_only_on_request(phone: EmulatedPhone, tmp_path: Path) -> None:
    words = ("frames", phone.instance_id, "-o", tmp_path, "--fps", 20, "--count", 3)
    ended = await run(*words, "--stats", env=environment(phone))
    assert ended.code == 0, ended.err
    rows = {name: facts for name, _, facts in (line.partition(" ") for line in ended.out.splitlines())}
    assert {"packets", "requests", "frames", "decoder", "interruptions", "freezes", "delays"} <= rows.keys()
    assert re.search(r"[1-9]\d* received · 0 lost", rows["frames"])
    assert re.search(r"[1-9]\d* decoded · 0 refused", rows["decoder"])
    assert re.search(r"decoding \d+\.\d ms", rows["delays"])
    path = tmp_path / "phone.mp4"
    ended = await run("record", phone.instance_id, "-o", path, "--duration", 0.5, "--stats", env=environment(phone))
    assert "frames  " in ended.out
    assert "decoded" not in ended.out
    assert "packets" not in (await run(*words, env=environment(phone))).out


async def test_a_recording_in_several_files_lists_them(phone: EmulatedPhone, tmp_path: Path) -> None:
    manifest = tmp_path / "clips.jsonl"
    words = ("record", phone.instance_id, "-o", tmp_path / "clip-{:02d}.mkv", "--segment-every", 1)
    async with running(*words, "--manifest", manifest, env=environment(phone)) as process:
        while not size_of(manifest) or manifest.read_text(encoding="utf-8").count("\n") < 3:
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        ended = await end(process)
    assert ended.code == 0, ended.err
    paths = sorted(tmp_path.glob("*.mkv"))
    lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    assert [line["file"] for line in lines] == [str(path) for path in paths]
    seconds, frames = sum(line["duration_s"] for line in lines), sum(streams(path)[1] for path in paths)
    shown = re.search(r"(\d+) files  ([\d.]+)s  (\d+) frames", ended.out)
    assert shown is not None, ended.out
    assert (int(shown[1]), int(shown[3])) == (len(lines), frames)
    assert float(shown[2]) == pytest.approx(seconds, abs=0.1)


async def test_a_recording_is_transcoded_on_request(phone: EmulatedPhone, tmp_path: Path) -> None:
    path = tmp_path / "phone.webm"
    words = ("record", phone.instance_id, "-o", path, "--duration", 2, "--codec", "vp9", "--fps", 12, "--height", 320)
    ended = await run(*words, "--burn-time", env=environment(phone))
    assert ended.code == 0, ended.err
    assert streams(path)[1] == 24
    assert "2.0s  24 frames" in ended.out
    with av.open(path) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (180, 320)


async def test_a_recording_ends_before_it_is_too_large(phone: EmulatedPhone, tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    ended = await run("record", phone.instance_id, "-o", path, "--max-mb", 0.2, env=environment(phone))
    assert ended.code == 0, ended.err
    assert 50_000 < path.stat().st_size <= 200_000


async def test_audio_writes_the_given_seconds_and_shows_the_level(phone: EmulatedPhone, tmp_path: Path) -> None:
    path = tmp_path / "audio.wav"
    words = ("audio", phone.instance_id, "-o", path, "--duration", 1.5, "--rate", 16000, "--layout", "mono")
    ended = await run(*words, env=environment(phone, FORCE_COLOR="1"))
    assert ended.code == 0, ended.err
    with wave.open(str(path)) as audio:
        assert (audio.getnchannels(), audio.getsampwidth(), audio.getframerate()) == (1, 2, 16_000)
        assert audio.getnframes() == 24_000
        samples = np.frombuffer(audio.readframes(24_000), "<i2")
    assert np.abs(samples).max() > 500
    assert path.name in ended.out
    assert "1.5s  16000 Hz  mono  0 ms concealed" in ended.out.replace("\x1b[0m", "")
    assert "dBFS  peak" in ended.err
    assert "█" in ended.err


async def test_audio_ends_properly_on_ctrl_c(phone: EmulatedPhone, tmp_path: Path) -> None:
    path = tmp_path / "audio.wav"
    async with running("audio", phone.instance_id, "-o", path, env=environment(phone)) as process:
        while not (size_of(path)):
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        ended = await end(process)
    assert ended.code == 0, ended.err
    with wave.open(str(path)) as audio:
        assert f"{audio.getnframes() / 48_000:.1f}s  48000 Hz  stereo" in ended.out


async def test_a_pipe_gets_bare_samples(phone: EmulatedPhone) -> None:
    words = ("audio", phone.instance_id, "-o", "-", "--duration", 1.2, "--stats")
    async with running(*words, env=environment(phone)) as process:
        out, err = await process.communicate()
    assert process.returncode == 0, err
    assert np.abs(np.frombuffer(out, "<i2").reshape(-1, 2)).max(axis=0).min() > 500
    assert len(out) == 57_600 * 4
    assert "1.2s  48000 Hz  stereo" in err.decode()
    assert re.search(r"audio +[1-9]\d* packets · [1-9]\d* decoded · 0 refused", err.decode())


async def test_a_phone_without_audio_is_an_error_and_the_existing_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "audio.wav"
    path.write_bytes(b"dear")
    async with emulator.serve(width=360, height=640, audio=False) as phone:
        words = ("audio", phone.instance_id, "-o", path, "--duration", 0.5)
        ended = await run(*words, "--overwrite", env=environment(phone))
    assert ended.code == 6
    assert "no audio came" in ended.err
    assert path.read_bytes() == b"dear"


async def test_audio_that_cannot_be_written_exits_with_6(phone: EmulatedPhone, tmp_path: Path) -> None:
    ended = await run("audio", phone.instance_id, "-o", tmp_path / "no" / "audio.wav", env=environment(phone))
    assert ended.code == 6
    assert "cannot write" in ended.err
    async with running("audio", phone.instance_id, "-o", "-", env=environment(phone)) as process:
        assert process.stdout is not None
        await process.stdout.readexactly(100)
        process.stdout._transport.close()  # type: ignore[attr-defined]
        assert process.stderr is not None
        err = (await process.stderr.read()).decode()
        await process.wait()
    assert process.returncode == 6
    assert err == ""


async def test_a_pipe_gets_mpeg_ts_and_messages_go_elsewhere(phone: EmulatedPhone, tmp_path: Path) -> None:
    words = ("record", phone.instance_id, "-o", "-", "--duration", 1.5, "--stats")
    async with running(*words, env=environment(phone)) as process:
        out, err = await process.communicate()
    assert process.returncode == 0, err
    assert out[:1] == b"\x47"
    assert len(out) % 188 == 0
    path = tmp_path / "phone.ts"
    path.write_bytes(out)
    names, frames = streams(path)
    assert sorted(names) == ["h264", "opus"]
    assert f"{frames} frames" in err.decode()
    assert "packets" in err.decode()


async def test_a_pipe_whose_reader_goes_away_exits_with_6_and_no_message(phone: EmulatedPhone) -> None:
    async with running("record", phone.instance_id, "-o", "-", env=environment(phone)) as process:
        assert process.stdout is not None
        assert await process.stdout.readexactly(188)
        process.stdout._transport.close()  # type: ignore[attr-defined]
        assert process.stderr is not None
        err = (await process.stderr.read()).decode()
        assert await process.wait() == 6
    assert err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_recording_that_is_interrupted_is_whole(
    phone: EmulatedPhone, tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "phone.mp4"
    async with running("record", phone.instance_id, "-o", path, env=environment(phone)) as process:
        await until_written(process, path)
        process.send_signal(number)
        ended = await end(process)
    assert ended.code == 0, ended.err
    names, frames = streams(path)
    assert names == ["h264", "opus"]
    assert f"{frames} frames" in ended.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_recording_that_is_interrupted_twice_ends_at_once_and_is_whole(
    phone: EmulatedPhone, tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "phone.mp4"
    async with running("record", phone.instance_id, "-o", path, env=environment(phone)) as process:
        await until_written(process, path)
        os.kill(process.pid, signal.SIGSTOP)  # so that both are there when it looks
        process.send_signal(number)
        os.kill(process.pid, signal.SIGINT if number == signal.SIGTERM else signal.SIGTERM)
        os.kill(process.pid, signal.SIGCONT)
        ended = await end(process)
    assert ended.code == 130, ended.err
    assert streams(path)[1] > 0


async def test_a_recording_without_frames_exits_with_6_and_leaves_no_file(phone: EmulatedPhone, tmp_path: Path) -> None:
    phone.media._hand_out = lambda *_: None  # type: ignore[method-assign]
    path = tmp_path / "phone.mp4"
    ended = await run("record", phone.instance_id, "-o", path, "--duration", 1, env=environment(phone))
    assert ended.code == 6
    assert ended.err.startswith("error: no frame came: ")
    assert not list(tmp_path.iterdir())


async def test_a_recording_under_nohup_goes_on_when_the_terminal_closes(phone: EmulatedPhone, tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what is begun inherits that
    try:
        async with running("record", phone.instance_id, "-o", path, env=environment(phone)) as process:
            await until_written(process, path)
            process.send_signal(signal.SIGHUP)
            hung_up = size_of(path)
            await until_written(process, path, hung_up + 20_000)
            process.send_signal(signal.SIGTERM)
            assert (await end(process)).code == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert streams(path)[1] > 0


async def test_a_recording_that_another_device_ends_is_whole_and_says_why(phone: EmulatedPhone, tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    async with running("record", phone.instance_id, "-o", path, env=environment(phone)) as process:
        await until_written(process, path)
        await phone.close_clients("1402")
        ended = await end(process)
    assert ended.code == 4
    assert "took" in ended.err
    assert streams(path)[1] > 0


async def test_a_recording_takes_screenshots_at_intervals_and_on_a_signal(phone: EmulatedPhone, tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    words = ("record", phone.instance_id, "-o", path, "--screenshot-every", "1h", "--json")
    async with running(*words, env=environment(phone)) as process:
        for count in (1, 2):
            while len([*tmp_path.glob("*.png")]) < count:
                assert process.returncode is None
                await asyncio.sleep(0.05)
            if count == 1:
                process.send_signal(signal.SIGUSR1)
        process.send_signal(signal.SIGINT)
        ended = await end(process)
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert (result["output"], result["interruptions"]) == (str(path), 0)
    assert result["frames"] == streams(path)[1]
    first, second = map(Path, result["screenshots"])
    assert {first, second} == {*tmp_path.glob("*.png")}
    for found in (first, second):
        assert re.fullmatch(r"phone-\d{5}\.\ds(-2)?\.png", found.name)
    assert ended.err == f"{second}\n"  # that it was asked for is answered
    for found in (first, second):
        with Image.open(found) as image:
            assert image.size == (phone.media.width, phone.media.height)


async def test_a_recording_goes_on_after_a_lost_connection_unless_reconnection_is_off(tmp_path: Path) -> None:
    async with emulator.serve(width=360, height=640, faults=Faults(cut_after_s=2)) as phone:
        path, env, manifest = tmp_path / "a.mp4", environment(phone), tmp_path / "a.jsonl"
        words = ("record", phone.instance_id, "-o", path, "--duration", 4, "--manifest", manifest)
        ended = await run(*words, env=env)
        assert ended.code == 0, ended
        assert len(phone.device_tokens) > 1
        reason = "the connection to the signaling server was reset"
        assert re.search(rf"^  1 interruption, \d+\.\ds: {reason}$", ended.out, re.MULTILINE), ended.out
        (line,) = map(json.loads, manifest.read_text(encoding="utf-8").splitlines())
        assert (line["interruptions"], line["interruption_reasons"]) == (1, [reason])
        assert re.search(
            r"^[\d:]{8}  interrupted: the connection to the signaling server was reset$", ended.err, re.MULTILINE
        )
        assert re.search(r"^[\d:]{8}  resumed after \d+\.\ds$", ended.err, re.MULTILINE)
        path = tmp_path / "b.mp4"
        ended = await run("record", phone.instance_id, "-o", path, "--duration", 4, "--no-reconnect", env=env)
        assert ended.code == 4
        assert "the connection to the signaling server was reset" in ended.err
        names, frames = streams(path)
        assert names == ["h264", "opus"]
        assert frames > 10


async def test_a_connection_that_does_not_come_back_is_given_up(tmp_path: Path) -> None:
    async with emulator.serve(width=360, height=640, faults=Faults(cut_after_s=2)) as phone:
        words = ("record", phone.instance_id, "-o", tmp_path / "a.mp4", "--give-up-after", 2)
        async with running(*words, env=environment(phone)) as process:
            while not any(client.peer for client in phone.clients):
                await asyncio.sleep(0.05)
            phone.faults.drop_at = "authorize"
            ended = await end(process)
    assert ended.code == 4, ended
    assert re.search(r"^[\d:]{8}  not resumed within \d+\.\ds$", ended.err, re.MULTILINE)
    assert re.search(r"a\.mp4  \d+\.\ds  \d+ frames  ", ended.err)  # what is kept
    assert streams(tmp_path / "a.mp4")[1] > 5
