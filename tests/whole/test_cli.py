"""The command line as a user runs it: in a process of its own, against an emulator in this one."""

import asyncio
import io
import json
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import streamer
from streamer import cli, emulator
from streamer.cli import display
from streamer.cli.exit_codes import MEANINGS
from streamer.emulator import EmulatedPhone, Faults
from tests.support.commands import end, environment, run, running, streams
from tests.support.tls import behind_tls, make_certificate


@pytest.mark.parametrize(
    ("command", "name"), [("record", "a[b].mp4"), ("screenshot", "a[b].png"), ("audio", "a[b].wav")]
)
async def test_a_file_is_replaced_only_with_overwrite(
    phone: EmulatedPhone, empty_folder: Path, command: str, name: str
) -> None:
    path = empty_folder / name
    path.write_bytes(b"kept")
    words: tuple[object, ...] = (command, phone.instance_id, "-o", name)
    words += () if command == "screenshot" else ("--duration", "0.5s")
    ended = await run(*words, env=environment(phone))
    assert ended.code == 6
    assert ended.err.startswith("error: cannot write ")
    assert f"{name}: the file exists" in ended.err
    assert path.read_bytes() == b"kept"
    assert not phone.device_tokens  # and nobody was disturbed for it
    ended = await run(*words, "--overwrite", "--json", env=environment(phone, FORCE_COLOR="1"))
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["output"] == name
    assert path.read_bytes() != b"kept"


async def test_a_default_name_has_the_phone_and_the_time(phone: EmulatedPhone, empty_folder: Path) -> None:
    ended = await run("screenshot", phone.instance_id, "--quiet", env=environment(phone))
    assert ended == (0, "", "")
    (path,) = empty_folder.iterdir()
    assert re.fullmatch(r"demo-phone-\d{8}-\d{6}\.png", path.name)


async def test_the_numbers_of_frames_continue_after_existing_ones(phone: EmulatedPhone, tmp_path: Path) -> None:
    (tmp_path / "000007.png").write_bytes(b"kept")
    words = ("frames", phone.instance_id, "-o", tmp_path, "--fps", 20, "--count", 2, "--json")
    ended = await run(*words, env=environment(phone))
    assert ended.code == 0, ended.err
    assert json.loads(ended.out).items() >= {"frames": 2, "first": "000008.png", "last": "000009.png"}.items()
    assert (tmp_path / "000007.png").read_bytes() == b"kept"
    assert len([*tmp_path.iterdir()]) == 3


async def test_info_prints_no_secret_and_no_control_codes(phone: EmulatedPhone) -> None:
    ticket = phone._ticket

    def hostile(signaling_url: str) -> Any:
        reply = ticket("http://user:TRIPWIRE-1@host/[red]?token=TRIPWIRE-2")
        reply["data"]["resource"]["device_id"] = "\x1b[31m[red]device[/red][/]"
        return reply

    phone._ticket = hostile  # type: ignore[method-assign]
    for more in ((), ("--json",)):
        ended = await run("info", phone.instance_id, *more, env=environment(phone, FORCE_COLOR="1"))
        for word in ("TRIPWIRE", "\x1b[31m", "token="):
            assert word not in ended.out + ended.err
        assert ended.code == 0, ended.err
        assert "http://host/" in ended.out


async def test_several_emulated_phones_share_an_api_and_are_listed_in_json() -> None:
    words = ("phone", "--port", 0, "--size", "90x90", "--count", 2, "--json")
    async with running(*words, env=environment()) as process:
        assert process.stdout is not None
        place = json.loads(await process.stdout.readline())
        assert place["instances"] == ["demo-phone-1", "demo-phone-2"]
        for instance in place["instances"]:
            async with streamer.connect(
                instance, endpoint=place["endpoint"], credentials=streamer.Token(place["auth_token"])
            ) as session:
                await anext(session.frames())
        process.send_signal(signal.SIGINT)
        assert (await end(process)).code == 0


@pytest.mark.parametrize("suffix", ["png", "jpg"])
async def test_frames_are_saved_with_numbers(phone: EmulatedPhone, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / "new" / "frames"
    words = ("frames", phone.instance_id, "-o", target, "--fps", 10, "--count", 3, "--format", suffix)
    ended = await run(*words, env=environment(phone))
    assert ended.code == 0, ended.err
    assert "3 frames" in ended.out
    assert sorted(path.name for path in target.iterdir()) == [f"{number:06d}.{suffix}" for number in range(3)]
    counters = []
    for path in sorted(target.iterdir()):
        with Image.open(path) as image:
            assert image.size == (phone.media.width, phone.media.height)
            barcode = emulator.read_barcode(np.asarray(image.convert("RGB"), dtype=np.uint8))
        assert barcode is not None
        counters.append(barcode.counter)
    assert counters == sorted(set(counters))


async def test_frames_without_a_count_end_with_ctrl_c(phone: EmulatedPhone, tmp_path: Path) -> None:
    async with running("frames", phone.instance_id, "-o", tmp_path, env=environment(phone)) as process:
        while not list(tmp_path.glob("*.png")):  # a draft has another name, and may be gone again
            assert process.returncode is None
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        ended = await end(process)
    assert ended.code == 0, ended.err
    assert f"{len(list(tmp_path.iterdir()))} frames" in ended.out


@pytest.mark.parametrize(("name", "kind"), [("screen.png", "PNG"), ("screen.jpg", "JPEG")])
async def test_a_screenshot_shows_the_screen(phone: EmulatedPhone, tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    ended = await run("screenshot", phone.instance_id, "-o", path, env=environment(phone))
    assert ended.code == 0, ended.err
    assert ended.out.startswith(f"{path}  360x640  ")
    with Image.open(path) as image:
        assert image.format == kind
        barcode = emulator.read_barcode(np.asarray(image.convert("RGB"), dtype=np.uint8))
    assert barcode is not None
    assert list(tmp_path.iterdir()) == [path]


async def test_a_screenshot_into_a_pipe_is_the_image_alone(phone: EmulatedPhone) -> None:
    words = ("screenshot", phone.instance_id, "-o", "-", "--format", "jpg", "--size", "180x320")
    async with running(*words, env=environment(phone)) as process:
        out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    with Image.open(io.BytesIO(out)) as image:
        image.load()
        assert (image.format, image.size) == ("JPEG", (180, 320))


async def test_a_screenshot_that_times_out_exits_with_5_and_says_what_arrived(phone: EmulatedPhone) -> None:
    phone.media._hand_out = lambda *_: None  # type: ignore[method-assign]
    words = ("screenshot", phone.instance_id, "-o", "-", "--timeout", 1)
    ended = await run(*words, env=environment(phone))
    assert ended.code == 5
    assert ended.err.startswith("error: no frame came within 1 s: the session received 0 packets and 0 frames, ")


async def test_a_clip_of_a_file_is_made_without_a_phone(phone: EmulatedPhone, tmp_path: Path) -> None:
    path, target = tmp_path / "phone.mp4", tmp_path / "bug.webp"
    ended = await run("record", phone.instance_id, "-o", path, "--duration", 1.5, env=environment(phone))
    assert ended.code == 0, ended.err
    words = ("clip", path, "-o", target, "--width", 180)
    ended = await run(*words, "--start", 0.5, "--end", 1, env=environment())
    assert ended.code == 0, ended.err
    assert ended.out.startswith(f"{target}  ")
    with Image.open(target) as image:
        shown_ms = []
        for number in range(getattr(image, "n_frames", 1)):  # equal frames in a row are one
            image.seek(number)
            image.load()
            shown_ms.append(image.info["duration"])
        assert (image.size, sum(shown_ms)) == ((180, 320), 500)
    assert await run(*words, env=environment()) == (
        6,
        "",
        f"error: cannot write {target}: the file exists: choose another name, or pass overwrite=True (--overwrite)\n",
    )
    before = path.read_bytes()
    ended = await run("clip", path, "-o", path, "--overwrite", env=environment())
    assert (ended.code, "other than the recording" in ended.err, path.read_bytes()) == (2, True, before)
    for more, code, said in (
        (("--end", 9), 2, "a start and a later end within the recording's 1.5 s, got 0 s and 9 s"),
        (("-o", tmp_path / "no" / "a.gif"), 6, "cannot write"),
    ):
        ended = await run(*words, "--overwrite", *more, env=environment())
        assert (ended.code, ended.err.startswith("error: ")) == (code, True)
        assert said in ended.err
    assert (await run("clip", tmp_path / "none.mp4", env=environment())).code == 6


async def test_info_shows_what_the_cloud_says_in_json() -> None:
    servers = ["stun:stun.example.com", {"uri": "turn:turn.example.com", "usr": "u", "pwd": "p"}, "carrier-pigeon:x"]
    async with emulator.serve(width=360, height=640, expires_in_s=600, ice_servers=servers) as phone:
        ended = await run("info", phone.instance_id, "--json", env=environment(phone))
        assert ended.code == 0, ended.err
        assert json.loads(ended.out) == {
            "instance_id": phone.instance_id,
            "device_id": phone.device_id,
            "streaming_id": json.loads(ended.out)["streaming_id"],
            "signaling_url": phone.signaling_url,
            "stream_may_last_s": 600,
            "audio_ports": {
                "internal": {"address": "192.168.0.12", "port": 10030, "type": 1, "address_ipv6": None},
                "external": {"address": "10.83.71.187", "port": 10030, "type": 1, "address_ipv6": None},
            },
            "ice_servers": ["stun:stun.example.com:3478?transport=udp", "turn:turn.example.com:3478?transport=udp"],
            "ice_server_problems": ["expected a stun: or turn: URL, got 'carrier-pigeon:x'"],
        }
        assert json.loads(ended.out)["streaming_id"]


@pytest.mark.parametrize("is_named", [True, False])
async def test_info_shows_what_the_cloud_says_in_a_table(phone: EmulatedPhone, is_named: bool) -> None:
    words, more = (phone.instance_id,) if is_named else (), {} if is_named else {"STREAMER_INSTANCE": phone.instance_id}
    ended = await run("info", *words, env=environment(phone, **more))
    assert ended.code == 0, ended.err
    for fact in (phone.device_id, phone.signaling_url, "1h00m00s", "10.83.71.187:10030, type 1", "192.168.0.12:10030"):
        assert fact in ended.out


async def test_a_phone_behind_tls_is_reached_with_ca_or_insecure(phone: EmulatedPhone, tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path)
    path = tmp_path / "phone.mp4"
    record = ("record", phone.instance_id, "-o", path, "--duration", "0.5")
    async with behind_tls(phone, certificate, certificate):
        ended = await run(*record, env=environment(phone))
        assert (ended.code, "its TLS certificate is not trusted" in ended.err) == (3, True)
        assert not path.exists()
        ended = await run(*record, "--ca", certificate, env=environment(phone))
        assert ended.code == 0, ended.err
        assert streams(path)[1] > 0
        for words in (("--ca", certificate), ("--insecure",)):
            ended = await run("info", phone.instance_id, "--json", *words, env=environment(phone))
            assert ended.code == 0, ended.err
            assert json.loads(ended.out)["signaling_url"] == phone.signaling_url
            assert ("TLS certificates are not verified" in ended.err) == ("--insecure" in words)


@pytest.mark.parametrize("command", ["record", "frames", "screenshot", "audio", "info"])
async def test_a_file_without_an_authority_is_named(command: str, empty_folder: Path) -> None:
    (empty_folder / "authority.pem").write_text("no certificate")
    words = (command, "any", "--endpoint", "https://127.0.0.1:9", "--ca", "authority.pem")
    ended = await run(*words, env=environment(STREAMER_AUTH_TOKEN="token"))
    assert ended.code == 2
    assert ended.err == (
        "error: expected a PEM file of authorities, got authority.pem: no certificate can be read in it\n"
    )


async def test_the_demo_records_the_emulator_without_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "made" / "demo.mp4"
    ended = await run("demo", "-o", path, "--duration", 2, env=environment())
    assert ended.code == 0, ended.out + ended.err
    assert "no gap" in ended.out
    names, frames = streams(path)
    assert names == ["h264", "opus"]
    assert f"{frames} frames" in ended.out
    with Image.open(path.with_suffix(".png")) as image:
        assert image.size == (720, 1280)


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which commands run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("settings", "words", "ending"),
    [
        ({"STREAMER_ENDPOINT": ""}, ("record", "any"), (2, "set STREAMER_ENDPOINT")),
        ({"STREAMER_ENDPOINT": ""}, ("info", "any"), (2, "set STREAMER_ENDPOINT")),
        ({"STREAMER_ENDPOINT": "ftp://x"}, ("info", "any"), (2, "expected an endpoint such as")),
        ({"STREAMER_AUTH_TOKEN": ""}, ("frames", "any"), (2, "set STREAMER_AUTH_TOKEN")),
        ({"STREAMER_AUTH_TOKEN": "wrong"}, ("info", "any"), (3, "HTTP 401")),
        ({"STREAMER_ENDPOINT": "http://127.0.0.1:9"}, ("info", "any"), (3, "the connection was refused")),
        ({}, ("info", "somebody-elses"), (3, "the instance is not under this tenant")),
    ],
)
async def test_a_setting_that_is_missing_or_wrong_is_named_before_a_file_is_made(
    phone: EmulatedPhone, empty_folder: Path, settings: dict[str, str], words: tuple[str, str], ending: tuple[int, str]
) -> None:
    command, instance = words
    instance = phone.instance_id if instance == "any" else instance
    ended = await run(command, instance, env=environment(phone, **settings))
    code, said = ending
    assert ended.code == code, ended
    assert said in ended.err
    assert not [*empty_folder.iterdir()]


@pytest.mark.parametrize(
    "words",
    [
        ("record",),
        ("record", "any", "-o", "phone.avi"),
        ("record", "any", "-o", "phone-{what}.mp4"),
        ("record", "any", "--segment-every", "0"),
        ("record", "any", "--height", "481"),
        ("record", "any", "--fps", "0"),
        ("record", "any", "--codec", "h264", "-o", "phone.webm"),
        ("demo", "-o", "-"),
        ("record", "any", "--duration", "0"),
        ("record", "any", "--duration", "inf"),
        ("record", "any", "--duration", "nan"),
        ("record", "any", "--duration", "-3s"),
        ("record", "any", "--duration", "3 days"),
        ("record", "any", "--max-mb", "inf"),
        ("record", "any", "--max-mb", "nan"),
        ("record", "any", "--give-up-after", "inf"),
        ("record", "any", "--screenshot-every", "0"),
        ("frames", "any", "--fps", "nan"),
        ("screenshot", "any", "--timeout", "1e400"),
        ("clip", "phone.mp4", "--start", "nan"),
        ("audio", "any", "-o", "audio.mp3"),
        ("audio", "any", "-o", "audio"),
        ("phone", "--fault", "nonsense"),
        ("phone", "--size", "0x0"),
        ("phone", "--size", "361x641"),
        ("frames", "any", "--format", "gif"),
        ("screenshot", "any", "-o", "screen.gif"),
        ("screenshot", "any", "--size", "0x3"),
        ("info", "any", "--ca", "authority.pem", "--insecure"),
    ],
    ids=" ".join,
)
async def test_wrong_arguments_exit_with_2_and_one_message(phone: EmulatedPhone, words: tuple[str, ...]) -> None:
    named = [phone.instance_id if word == "any" else word for word in words]
    ended = await run(*named, env=environment(phone))
    assert ended.code == 2, ended
    assert ended.err.strip()


@pytest.mark.parametrize(
    ("faults", "code", "said"),
    [
        (Faults(auth_code="KOOPHONE.API.1012"), 3, "KOOPHONE.API.1012"),
        (Faults(refuse_start=1003), 4, "1003"),
        (Faults(token="expired"), 4, "expired"),
        (Faults(bad_offer=True), 5, "offer"),
    ],
    ids=["the cloud refuses", "the start is refused", "the device token has expired", "the offer is no SDP"],
)
async def test_each_kind_of_failure_has_its_exit_code_and_one_sentence(
    tmp_path: Path, faults: Faults, code: int, said: str
) -> None:
    async with emulator.serve(width=360, height=640, faults=faults) as phone:
        ended = await run("record", phone.instance_id, "-o", tmp_path / "phone.mp4", env=environment(phone))
    assert ended.code == code, ended
    assert said in ended.err
    assert ended.err.startswith("error: ")
    assert not (tmp_path / "phone.mp4").exists()


@pytest.mark.parametrize(
    "words",
    [("record", "-o", "file/phone.mp4"), ("frames", "-o", "file/frames"), ("screenshot", "-o", "file/a.png")],
)
async def test_output_that_cannot_be_written_exits_with_6(
    phone: EmulatedPhone, tmp_path: Path, words: tuple[str, str, str]
) -> None:
    (tmp_path / "file").touch()
    command, option, path = words
    ended = await run(command, phone.instance_id, option, tmp_path / path, env=environment(phone))
    assert ended.code == 6
    assert str(tmp_path / path) in ended.err


@pytest.mark.parametrize("command", ["", "record", "frames", "screenshot", "clip", "audio", "info", "phone", "demo"])
def test_help_lists_every_exit_code(command: str) -> None:
    result = CliRunner().invoke(cli.app, [*command.split(), "--help"], env={"COLUMNS": "400"})
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert {0, 7, 130, *(code for _, code in cli.EXIT_CODES)} == MEANINGS.keys()
    for code, meaning in MEANINGS.items():
        assert f" {code} {meaning}" in text.partition("Exit codes:")[2]


def test_every_error_has_the_exit_code_of_its_nearest_class() -> None:
    codes = dict(cli.EXIT_CODES)
    assert codes[streamer.ConnectionFailedError] == codes[streamer.ConnectionLostError] == 5
    kinds = [kind for kind, _ in cli.EXIT_CODES]
    for later, kind in enumerate(kinds):  # the first that fits counts, so none may hide behind a wider one
        assert not any(issubclass(kind, earlier) for earlier in kinds[:later])
    assert kinds[-1] is streamer.StreamerError


async def test_an_instance_is_prepared_and_released(tmp_path: Path) -> None:
    async with emulator.serve(width=360, height=640, prepare_s=1) as phone:
        ended = await run(
            *("frames", phone.instance_id, "-o", tmp_path, "--count", 1, "--prepare-for", "me", "--release"),
            env=environment(phone),
        )
        assert ended.code == 0, ended
        calls = list(phone.lifecycle.calls)
    assert calls[0] == "/v1/instances/prepare"
    assert calls[-2:] == ["/v1/instances/streaming/stop", "/v1/instances/session/release"]


def test_an_interruption_is_described_in_a_line() -> None:
    lost = streamer.ConnectionLostError("gone")
    described = [
        display.interruption(event)
        for event in (
            streamer.Event(kind="interrupted", reason="no packets arrive from the phone"),
            streamer.Event(kind="interrupted", reason="gone", error=lost, retry_in_s=10.2),
            streamer.Event(kind="interrupted", reason="gone", error=lost, retry_in_s=0.1),
            streamer.Event(kind="negotiating"),
        )
    ]
    assert described == [
        "interrupted: no packets arrive from the phone",
        "interrupted: gone; reconnecting in 10s",
        "interrupted: gone; reconnecting now",
        "reconnecting: negotiating …",
    ]
