"""The commands that ask the cloud, as a user runs them: in a process of their own, against an emulator in this one."""

import json

import pytest

from streamer import emulator
from streamer.emulator import EmulatedPhone, Faults
from streamer.emulator.device import Package
from tests.support.commands import environment, run

pytestmark = pytest.mark.edge
HOSTILE = "\x1b[31m[red]\u202e"


async def test_a_commands_output_is_printed_without_control_codes(phone: EmulatedPhone) -> None:
    phone.device.properties["ro.hostile"] = f"one\r\n{HOSTILE}two\n"
    words = ("shell", phone.instance_id, "getprop", "ro.hostile")
    ended = await run(*words, env=environment(phone, FORCE_COLOR="1"))
    assert ended.code == 0, ended.err
    assert ended.out == "one\n\\x1b[31m[red]\\u202etwo\n"
    ended = await run(*words, "--json", "--quiet", env=environment(phone))
    assert json.loads(ended.out) == {
        "instance_id": phone.instance_id,
        "output": f"one\r\n{HOSTILE}two\n",
        "is_cut": False,
        "job": None,
    }


async def test_a_command_that_fails_or_cannot_be_carried_says_why(phone: EmulatedPhone) -> None:
    ended = await run("shell", phone.instance_id, "ls | cat", env=environment(phone))
    assert (ended.code, ended.out) == (2, "")
    assert "got '|' at position 4" in ended.err
    assert not phone.device.commands
    ended = await run("shell", phone.instance_id, "nonsense", env=environment(phone))
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == "error: the command failed: /system/bin/sh: nonsense: inaccessible or not found\n"


async def test_apps_are_listed_and_started(phone: EmulatedPhone) -> None:
    phone.device.install(Package(name="com.example.hostile", label=HOSTILE))
    ended = await run("apps", phone.instance_id, "--only", "other", env=environment(phone))
    assert ended.code == 0, ended.err
    assert "com.example.hostile  1.0.0    \\x1b[31m[red]\\u202e\n" in ended.out
    header, *rows = [line.split() for line in ended.out.splitlines()]
    assert header == ["package", "version", "name"]
    assert [row[0] for row in rows] == [name for name, app in phone.device.packages.items() if not app.is_system]
    ended = await run("apps", phone.instance_id, "start", rows[0][0], "--json", env=environment(phone))
    assert json.loads(ended.out) == {"instance_id": phone.instance_id, "action": "start", "package": rows[0][0]}
    ended = await run("apps", phone.instance_id, "start", "com.example.none", env=environment(phone))
    assert ended.code == 3
    assert ended.err.startswith("error: the start of com.example.none failed: ** No activities found")
    ended = await run("apps", phone.instance_id, "start", env=environment(phone))
    assert ended.code == 2
    assert "expected a package to start" in ended.err


async def test_the_phones_of_the_tenant_are_listed() -> None:
    async with emulator.serve_fleet(2, width=180, height=320, audio=False) as fleet:
        ended = await run("list", env=environment(fleet.phones[0]))
        assert ended.code == 0, ended.err
        header, *rows = [line.split() for line in ended.out.splitlines()]
        assert header == ["instance", "state", "name", "user", "region", "specification"]
        assert [row[:2] for row in rows] == [[phone.instance_id, "running"] for phone in fleet.phones]
        ended = await run("list", "--limit", 1, "--json", env=environment(fleet.phones[0]))
        (instance,) = json.loads(ended.out)["instances"]
        assert (instance["instance_id"], instance["state"]) == (fleet.phones[0].instance_id, "running")


async def test_the_video_is_set() -> None:
    faults = Faults()
    async with emulator.serve(width=720, height=1280, fps=10, audio=False, faults=faults) as phone:
        words = ("set-video", phone.instance_id, "--fps", 30, "--bitrate", 2000)
        ended = await run(*words, env=environment(phone))
        assert (ended.code, ended.out) == (0, f"{phone.instance_id}: 30 frames a second at 2000 kbit/s\n"), ended.err
        assert phone.media.fps == 30
        faults.call_reply_lost = True
        ended = await run(*words, env=environment(phone))
        assert ended.code == 3
        assert ended.err.startswith("error: the video setting may have been carried out, and is not repeated: ")
