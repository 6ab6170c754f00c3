"""Each example is run as it stands, against an emulator."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from streamer import emulator
from streamer.emulator import EmulatedPhone, Touch, read_barcode
from tests.support.example_programs import EXAMPLES, load, running
from tests.support.prepared import PYTHON
from tests.support.waiting import until

LIMIT_S = 30.0
ARGUMENTS = {
    "monkey": ["com.example.app"],
    "performance_budget": ["com.example.app"],
    "record": ["file.mp4"],
    "screenshot": ["file.png"],
    "visual_regression": ["folder", "com.example.app"],
}


@pytest.fixture(autouse=True)
def _windows_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


@pytest.fixture
def phone(phone: EmulatedPhone, monkeypatch: pytest.MonkeyPatch) -> EmulatedPhone:
    """The phone that examples find in the environment."""
    monkeypatch.setenv("STREAMER_ENDPOINT", phone.endpoint)
    monkeypatch.setenv("STREAMER_AUTH_TOKEN", phone.tenant_token)
    return phone


async def test_record(phone: EmulatedPhone, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "phone.mp4"
    async with asyncio.timeout(LIMIT_S):
        await load("record").main(phone.instance_id, str(path), seconds=2)
    with av.open(path) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert frames > 0
    assert f"{path}: {frames} frames" in capsys.readouterr().out


async def test_screenshot(phone: EmulatedPhone, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "screen.png"
    async with asyncio.timeout(LIMIT_S):
        await load("screenshot").main(phone.instance_id, str(path))
    with Image.open(path) as image, Image.open(path.with_suffix(".jpg")) as small:
        assert read_barcode(np.asarray(image.convert("RGB"), dtype=np.uint8)) is not None
        assert small.size == (180, 320)
    assert f"{path}: 360x640; " in capsys.readouterr().out


async def test_frames_to_numpy(phone: EmulatedPhone, capsys: pytest.CaptureFixture[str]) -> None:
    async with asyncio.timeout(LIMIT_S):
        await load("frames_to_numpy").main(phone.instance_id, count=5)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all("(640, 360, 3), mean brightness" in line for line in lines)


async def test_without_asyncio(
    phone: EmulatedPhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    async with asyncio.timeout(LIMIT_S):
        await asyncio.to_thread(load("without_asyncio").main, phone.instance_id, count=2)
    assert capsys.readouterr().out == "screen-0001.png: 360x640\nscreen-0002.png: 360x640\n"
    with Image.open("screen-0002.png") as image:
        assert image.size == (360, 640)


async def test_audio_ports(phone: EmulatedPhone, capsys: pytest.CaptureFixture[str]) -> None:
    async with asyncio.timeout(LIMIT_S):
        await load("audio_ports").main(phone.instance_id)
    output = capsys.readouterr().out
    assert "internal: AudioPort(address='192.168.0.12', port=10030" in output
    assert "external: AudioPort(address='10.83.71.187', port=10030" in output
    assert "came while the audio port was AudioPort(address='10.83.71.187'" in output


@pytest.fixture
async def phone_with_apps(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EmulatedPhone]:
    async with emulator.serve(width=360, height=640, fps=15, audio=False, screen="apps") as running:
        monkeypatch.setenv("STREAMER_ENDPOINT", running.endpoint)
        monkeypatch.setenv("STREAMER_AUTH_TOKEN", running.tenant_token)
        yield running


@pytest.fixture(scope="session")
def mcp_client() -> None:
    """The SDK is imported late, for it takes long, but before a test has a stderr of its own: the SDK would keep it."""
    import mcp.client.stdio  # noqa: F401, PLC0415


@pytest.mark.usefixtures("mcp_client")
async def test_agent(phone_with_apps: EmulatedPhone, capsys: pytest.CaptureFixture[str]) -> None:
    async with asyncio.timeout(2 * LIMIT_S):
        await load("agent").main(phone_with_apps.instance_id)
    *said, last = capsys.readouterr().out.splitlines()
    assert phone_with_apps.app_in_front == "com.example.signin"
    assert [line.partition("(")[0] for line in said[:4]] == ["list_apps", "record", "start_app", "tap"]
    path = Path(last.removeprefix("signed in; the recording is "))
    with av.open(path) as container:
        assert sum(1 for _ in container.decode(video=0)) > 5
    shutil.rmtree(path.parent)


async def test_monkey_does_the_same_again_with_the_same_seed(
    phone_with_apps: EmulatedPhone, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def touched() -> list[Any]:
        return [read.points for read in phone_with_apps.inputs if isinstance(read, Touch) and read.action == 0]

    places = []
    for _ in range(2):
        phone_with_apps.inputs.clear()
        async with asyncio.timeout(2 * LIMIT_S):
            await load("monkey").main(
                phone_with_apps.instance_id, "com.example.canvas", actions=8, seed=3, folder=tmp_path, pause_s=0.05
            )
        await until(lambda: len(touched()) == 8)  # the seed 3 begins with so many touches
        places.append(touched())
    assert places[0] == places[1]
    with av.open(tmp_path / "monkey-3.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) > 1
    assert f"{tmp_path / 'monkey-3.mp4'}: " in capsys.readouterr().out


async def test_performance_budget_says_what_is_over_it(
    phone_with_apps: EmulatedPhone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load("performance_budget")
    for name in ("ANSWER_S", "SETTLED_S", "GAP_S"):
        monkeypatch.setattr(example, name, LIMIT_S)  # the machine may be busy
    async with asyncio.timeout(2 * LIMIT_S):
        await example.main(phone_with_apps.instance_id, "com.android.settings", rounds=1, settled_s=LIMIT_S)
        started, left = capsys.readouterr().out.splitlines()
        assert re.fullmatch(r"start com.android.settings: first change \d+ ms, end \d+ ms, longest gap \d+ ms", started)
        assert left.startswith("leave com.android.settings: ")
        with pytest.raises(SystemExit, match=r"start com.android.settings: end [\d.]+ s, expected at most 0.001 s"):
            await example.main(phone_with_apps.instance_id, "com.android.settings", rounds=1, settled_s=0.001)


async def test_visual_regression_finds_what_has_changed(
    phone_with_apps: EmulatedPhone, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = phone_with_apps.instance_id, str(tmp_path / "screens")
    apps = ["com.example.signin", "com.example.notices"]
    example = load("visual_regression")
    async with asyncio.timeout(3 * LIMIT_S):
        await example.main(*words, apps)
        assert capsys.readouterr().out == "".join(f"{app}: written\n" for app in apps)
        (tmp_path / "screens" / f"{apps[1]}.png").replace(tmp_path / "screens" / f"{apps[0]}.png")
        with pytest.raises(SystemExit, match=r"^error: com\.example\.signin changed$"):
            await example.main(*words, apps)
    said = capsys.readouterr().out.splitlines()
    assert re.match(r"com\.example\.signin: after 5 s .*: see \S+diff\.png and \S+actual\.png;", said[0])
    assert said[1] == "com.example.notices: written"


async def test_the_viewer_is_open_in_the_browser_until_the_page_is_closed(phone: EmulatedPhone) -> None:
    env = {**os.environ, "BROWSER": f"{sys.executable} -m tests.support.visiting %s"}
    async with asyncio.timeout(2 * LIMIT_S), running("viewer", phone.instance_id, env=env) as viewer:
        output, _ = await viewer.communicate()
    assert viewer.returncode == 0
    assert re.fullmatch(rb"http://127\.0\.0\.1:\d+/#\S+\nClose the page to end\.\n", output)


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_an_example_says_in_a_sentence_what_it_lacks(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*words: str) -> tuple[int, str]:
        command = [*PYTHON, str(EXAMPLES / f"{name}.py"), *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        said = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("pygame"))
        assert "Traceback" not in said
        return done.returncode, said

    words = ["any", *ARGUMENTS.get(name, [])]
    monkeypatch.setenv("STREAMER_AUTH_TOKEN", "any")
    code, said = run()
    assert (code, said.startswith(f"usage: {name}.py [-h] instance")) == (2, True)
    monkeypatch.delenv("STREAMER_ENDPOINT", raising=False)
    code, said = run(*words)
    assert (code, said.startswith("error: expected an endpoint such as https://")) == (1, True), said
    assert len(said.splitlines()) == 1
    assert not [*tmp_path.iterdir()]


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        "agent",
        "audio_ports",
        "frames_to_numpy",
        "monkey",
        "performance_budget",
        "record",
        "screenshot",
        "viewer",
        "visual_regression",
        "window",
        "without_asyncio",
    }
