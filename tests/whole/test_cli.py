"""The command line, as a user runs it: in processes of its own, against an embedded phone in another."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

LIMIT_S = 60


class Phone:
    """`streamer phone` in a process of its own, and the environment it prints."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streamer", "phone", "--size", "360x640", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.environment: dict[str, str] = {}
        for line in self._process.stdout:
            if match := re.search(r"export (\w+)=(\S+)", line):
                self.environment[match[1]] = match[2]
            if "Ctrl-C" in line:
                break

    def stop(self) -> tuple[int, str]:
        """End it as Ctrl-C does; return its exit code and what it said of errors."""
        self._process.send_signal(signal.SIGINT)
        _, said = self._process.communicate(timeout=LIMIT_S)
        return self._process.returncode, said


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    phone = Phone()
    yield phone.environment
    assert phone.stop() == (0, "")


def environ(environment: dict[str, str]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("STREAMER_")}
    return {**own, "COLUMNS": "200", **environment}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    finished = subprocess.run(
        [sys.executable, "-m", "streamer", *arguments],
        env=environ(environment),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert "Traceback" not in finished.stderr + finished.stdout
    return finished


def test_record_writes_an_mp4_and_says_what_is_in_it(environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    finished = run(environment, "record", "demo-phone", "-o", str(path), "--duration", "1.5")
    assert finished.returncode == 0, finished.stderr
    with av.open(path) as container:
        pictures = sum(1 for _ in container.decode(video=0))
    assert f"{pictures} pictures" in finished.stdout
    assert pictures >= 40
    assert "streaming" in finished.stderr


def test_ctrl_c_ends_a_recording_properly(environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    process = subprocess.Popen(
        [sys.executable, "-m", "streamer", "record", "demo-phone", "-o", str(path), "--debug"],
        env=environ(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "connection connected" in line:
            break
    while not path.exists() or path.stat().st_size < 20_000:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, errors
    assert "pictures" in said
    with av.open(path) as container:
        assert sum(1 for _ in container.decode(video=0)) > 0


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_frames_saves_so_many_pictures(environment: dict[str, str], tmp_path: Path, suffix: str) -> None:
    finished = run(
        environment, "frames", "demo-phone", "-o", str(tmp_path), "--fps", "10", "--count", "3", "--format", suffix
    )
    assert finished.returncode == 0, finished.stderr
    assert "3 pictures" in finished.stdout
    paths = sorted(tmp_path.iterdir())
    assert [path.name for path in paths] == [f"00000{number}.{suffix}" for number in range(3)]
    for path in paths:
        with av.open(path) as container:
            (picture,) = container.decode(video=0)
        assert (picture.width, picture.height) == (360, 640)


def test_info_shows_a_table_or_json_and_no_secrets(environment: dict[str, str]) -> None:
    table, facts = run(environment, "info", "demo-phone"), run(environment, "info", "demo-phone", "--json")
    assert "10.83.71.187:10030, type 1" in table.stdout
    assert "box-demo-phone" in table.stdout
    assert "3600 s" in table.stdout
    answer = json.loads(facts.stdout)
    assert answer["device_id"] == "box-demo-phone"
    assert answer["audio_ports"]["internal"]["port"] == 10030
    assert not [name for name in answer if "token" in name]
    assert environment["STREAMER_AUTH_TOKEN"] not in table.stdout + facts.stdout


def test_the_demo_records_and_reads_its_recording_back(tmp_path: Path) -> None:
    finished = run({}, "demo", "-o", str(tmp_path / "deep" / "demo.mp4"), "--duration", "1.5")
    assert finished.returncode == 0, finished.stderr
    assert "no gap" in finished.stdout
    assert (tmp_path / "deep" / "demo.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("settings", "arguments", "code", "words"),
    [
        ({"STREAMER_ENDPOINT": ""}, ["record", "x"], 2, "STREAMER_ENDPOINT"),
        ({"STREAMER_AUTH_TOKEN": ""}, ["record", "x"], 2, "set STREAMER_AUTH_TOKEN"),
        ({"STREAMER_ENDPOINT": "ftp://x"}, ["info", "x"], 2, "expected an endpoint such as"),
        ({}, ["record", "demo-phone", "-o", "phone.avi"], 2, "ends in .mp4"),
        ({}, ["record"], 2, "INSTANCE"),
        ({"STREAMER_AUTH_TOKEN": "wrong"}, ["info", "demo-phone"], 3, "Incorrect IAM authentication information"),
        ({}, ["info", "somebody-elses"], 3, "the instance is not under this tenant"),
        ({"STREAMER_ENDPOINT": "http://127.0.0.1:9"}, ["info", "demo-phone"], 3, "the connection was refused"),
        ({}, ["record", "demo-phone", "-o", "/nowhere/phone.mp4"], 6, "No such file or directory"),
        ({}, ["frames", "demo-phone", "-o", "/dev/null/x"], 6, "Not a directory"),
    ],
)
def test_a_users_error_is_one_sentence_and_an_exit_code(
    environment: dict[str, str], settings: dict[str, str], arguments: list[str], code: int, words: str
) -> None:
    finished = run({**environment, **settings}, *arguments)
    assert finished.returncode == code, finished.stderr
    assert words in finished.stderr


def test_a_refused_start_ends_with_the_code_of_signaling(tmp_path: Path) -> None:
    phone = Phone("--fault", "refuse_start=1003")
    try:
        finished = run(phone.environment, "record", "demo-phone", "-o", str(tmp_path / "a.mp4"))
        assert finished.returncode == 4
        assert "did not start the stream" in finished.stderr
    finally:
        phone.stop()


def test_faults_are_listed_and_a_wrong_one_is_refused() -> None:
    assert "drop_at" in run({}, "phone", "--fault", "list").stdout
    refused = run({}, "phone", "--fault", "flood")
    assert refused.returncode == 2
    assert "expected a fault of" in refused.stderr


@pytest.mark.parametrize("command", ["record", "frames", "info", "phone", "demo"])
def test_help_names_the_exit_codes(command: str) -> None:
    assert "Exit codes: 0 done" in run({}, command, "--help").stdout
