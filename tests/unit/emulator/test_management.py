"""The emulator's calls beside a stream, without sockets."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.emulator.api import Reply, Request
from streamer.emulator.device import Boot, Clear, Device, Launch, Stop
from streamer.emulator.faults import Faults
from streamer.emulator.management import IDS_LIMIT, Management

BASE = "/v1/instances/"


class Phone:
    """What a call needs of a phone, and what came of the call."""

    def __init__(self, instance_id: str) -> None:
        self.instance_id = instance_id
        self.status = 2
        self.device = Device(size=lambda: (720, 1280))
        self.events: list[Any] = []
        self.device.on_event = self.events.append
        self.video: tuple[int, int] | None = None

    def reboot(self) -> None:
        self.status = 4

    def reset(self) -> None:
        self.device.reset()

    def set_video(self, fps: int, bitrate_bps: int) -> None:
        self.video = (fps, bitrate_bps)


class Api:
    """Two phones behind one API."""

    def __init__(self, **faults: Any) -> None:
        self.faults = Faults(**faults)
        self.phone, self.other = Phone("one"), Phone("two")
        self.management = Management([self.phone, self.other], self.faults)

    def call(self, verb: str, body: Any = None, /, *, now: float = 0.0, **query: str) -> Reply:
        method = self.management.method_of(BASE + verb)
        assert method is not None
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.management.answer(BASE + verb, Request(method, BASE + verb, {}, text, query), now)

    def data(self, verb: str, body: Any = None, /, *, now: float = 0.0, **query: str) -> Any:
        reply = self.call(verb, body, now=now, **query)
        assert (reply.status, reply.body["error_code"]) == (200, "0")
        return reply.body["data"]

    def shell(self, command: str) -> Any:
        (result,) = self.data("sync-command", {"command": command, "instance_ids": ["one"]})["cmd_results"]
        return result

    def code(self, verb: str, body: Any = None, **query: str) -> tuple[int, str]:
        reply = self.call(verb, body, now=0.0, **query)
        return reply.status, reply.body["error_code"]


def test_a_command_runs_on_each_phone_that_is_named() -> None:
    results = Api().data(
        "sync-command", {"command": "getprop ro.build.version.release", "instance_ids": ["one", "two"]}
    )
    assert results == {
        "cmd_results": [
            {"instance_id": name, "status": 2, "error_code": None, "error_msg": None, "execute_msg": "11"}
            for name in ("one", "two")
        ]
    }


def test_an_unknown_phone_fails_alone() -> None:
    results = Api().data("sync-command", {"command": "echo hello", "instance_ids": ["three", "one"]})["cmd_results"]
    assert [(result["status"], result["error_code"]) for result in results] == [(-1, "CPS0005"), (2, None)]


def test_a_failed_command_reports_its_output() -> None:
    result = Api().shell("nonsense")
    assert (result["status"], result["execute_msg"]) == (-1, "/system/bin/sh: nonsense: inaccessible or not found")


@pytest.mark.parametrize("command", ["", "echo 'a'", "ls | cat", "a=b", "ls *", "a\nb", "é", "x" * 1025, None, 5])
def test_a_command_outside_the_alphabet_is_refused(command: Any) -> None:
    api = Api()
    assert api.code("sync-command", {"command": command, "instance_ids": ["one"]}) == (400, "KOOPHONE.API.1000")
    assert not api.phone.device.commands


@pytest.mark.parametrize("ids", [None, [], "one", [1], [""], ["x" * 33], ["one"] * (IDS_LIMIT + 1)])
@pytest.mark.parametrize("verb", ["sync-command", "async-command", "batch-query-status", "reboot", "batch-reset"])
def test_wrong_instance_ids_are_refused(verb: str, ids: Any) -> None:
    assert Api().code(verb, {"command": "ls", "instance_ids": ids}) == (400, "KOOPHONE.API.1000")


def test_an_app_is_started_by_its_activity_and_by_the_launchers_intent() -> None:
    api = Api()
    package = api.phone.device.packages["com.example.slow"]
    assert api.shell("am start -n com.example.slow/.Main")["status"] == 2
    assert api.shell("monkey -p com.example.slow -c android.intent.category.LAUNCHER 1")["status"] == 2
    assert api.phone.events == [Launch(package), Launch(package)]
    assert api.shell("am start -n com.example.slow/.Other")["status"] == -1
    assert api.shell("monkey -p com.example.none -c android.intent.category.LAUNCHER 1")["status"] == -1


def test_an_app_is_stopped_and_cleared() -> None:
    api = Api()
    api.shell("am force-stop com.example.slow")
    assert api.shell("pm clear com.example.slow")["execute_msg"] == "Success"
    assert api.phone.events == [Stop("com.example.slow"), Clear("com.example.slow")]
    assert api.shell("pm clear com.example.none")["execute_msg"] == "Failed"


def test_third_party_apps_are_listed_apart_from_the_systems() -> None:
    api = Api()
    others = api.shell("pm list packages -3")["execute_msg"].splitlines()
    assert "package:com.example.slow" in others
    assert "package:com.android.settings" not in others
    assert "package:com.android.settings" in api.shell("pm list packages")["execute_msg"].splitlines()


def test_a_setting_is_read_back() -> None:
    api = Api()
    assert api.shell("settings get global window_animation_scale")["execute_msg"] == "null"
    api.shell("settings put global window_animation_scale 0")
    assert api.shell("settings get global window_animation_scale")["execute_msg"] == "0"
    api.shell("settings delete global window_animation_scale")
    assert api.shell("settings get global window_animation_scale")["execute_msg"] == "null"


def test_an_installed_app_is_listed_and_can_be_uninstalled() -> None:
    api = Api()
    body = {
        "instance_id_list": ["one"],
        "object_name": "org.example.shop",
        "object_version": "3.2",
        "install_package_url": "https://example.com/shop.apk",
    }
    task = api.data("app/install", body)
    assert task["task_id"].startswith("ZGCA")
    (job,) = api.data(f"tasks/{task['task_id']}")["jobs"]
    assert (job["job_id"], job["status"]) == (task["cmd_jobs"][0]["job_id"], 2)
    listed = api.data("one/app-list", page_size="100", app_type="2")["result"]
    assert {"app_name": "Shop", "app_version": "3.2", "app_pkg": "org.example.shop", "icon_url": None} in listed
    assert api.shell("pm uninstall org.example.shop")["execute_msg"] == "Success"
    assert "org.example.shop" not in api.phone.device.packages


def test_an_installed_apps_version_can_be_drawn() -> None:
    api = Api()
    body = {"instance_id_list": ["one"], "object_name": "org.example.shop", "install_package_url": "https://x"}
    api.data("app/install", body | {"object_version": "3\n.\ud800\x002" + "x" * 100})
    assert api.phone.device.packages["org.example.shop"].version == "3.2" + "x" * 61


def test_a_list_comes_in_pages() -> None:
    api = Api()
    whole = api.data("one/app-list", page_size="100")
    pages = [api.data("one/app-list", page_no=str(number), page_size="3") for number in range(1, 5)]
    assert [app for page in pages for app in page["result"]] == whole["result"]
    assert {page["total_count"] for page in pages} == {len(whole["result"])}
    assert api.code("one/app-list", page_size="0") == (400, "KOOPHONE.API.1000")


def test_phones_are_listed_and_found() -> None:
    api = Api()
    assert [each["instance_id"] for each in api.data("batch-query")["result"]] == ["one", "two"]
    assert [each["instance_id"] for each in api.data("batch-query", instance_id="two")["result"]] == ["two"]


def test_an_unknown_phone_has_an_unknown_status() -> None:
    statuses = Api().data("batch-query-status", {"instance_ids": ["one", "three"]})["status_results"]
    assert statuses == [{"instance_id": "one", "status": 2}, {"instance_id": "three", "status": 0}]


def test_only_phones_that_run_are_rebooted() -> None:
    api = Api()
    assert api.code("reboot", {"instance_ids": ["one"]}) == (200, "0")
    assert api.code("reboot", {"instance_ids": ["one"]}) == (200, "KOOPHONE.API.5005")
    assert api.code("reboot", {"instance_ids": ["three"]}) == (200, "KOOPHONE.API.1012")


def test_a_reset_forgets_apps_and_settings() -> None:
    api = Api()
    api.shell("pm uninstall com.example.slow")
    api.shell("settings put system font_scale 2")
    assert api.data("batch-reset", {"instance_ids": ["one"]})["task_id"].startswith("RM_")
    assert "com.example.slow" in api.phone.device.packages
    assert not api.phone.device.settings
    assert Boot() in api.phone.events


def setting(**spec: Any) -> dict[str, Any]:
    groups = [{"definition_720P": {"code_rate": 4000, "fps": 60} | spec}]
    return {
        "instance_ids": ["one"],
        "instance_settings": [{"network_type": "WIFI", "encoding_type": "H264", "video_spec_groups": groups}],
    }


def test_the_video_is_set_for_the_screens_definition() -> None:
    api = Api()
    api.data("video-setting", setting())
    assert (api.phone.video, api.other.video) == ((60, 4_000_000), None)


def test_of_all_networks_and_encodings_the_streams_own_is_set() -> None:
    def of(network: str, encoding: str, fps: int) -> dict[str, Any]:
        return {**setting(fps=fps)["instance_settings"][0], "network_type": network, "encoding_type": encoding}

    api = Api()
    pairs = [("WIFI", "H265", 30), ("WIFI", "H264", 60), ("WIRED", "H264", 30), ("MOBILE_NETWORK", "H265", 30)]
    api.data("video-setting", {**setting(), "instance_settings": [of(*pair) for pair in pairs]})
    assert api.phone.video == (60, 4_000_000)


@pytest.mark.parametrize("spec", [{"fps": 25}, {"code_rate": 50}, {"code_rate": 10_100}, {"fps": []}, {"fps": None}])
def test_a_wrong_video_setting_is_refused(spec: dict[str, Any]) -> None:
    assert Api().code("video-setting", setting(**spec)) == (400, "KOOPHONE.API.1000")


def test_a_task_runs_until_its_time_is_up() -> None:
    api = Api(task_s=10.0)
    task = api.data("async-command", {"command": "echo done", "instance_ids": ["one"]})["task_id"]
    assert [api.data(f"tasks/{task}", now=now)["jobs"][0]["status"] for now in (0.0, 9.9, 10.0)] == [1, 1, 2]
    assert api.data(f"tasks/{task}", now=11.0)["jobs"][0]["execute_msg"] == "done"
    assert list(api.phone.device.commands) == ["echo done"]


def test_an_unknown_task_has_a_code_of_its_own() -> None:
    assert Api().code("tasks/none") == (200, "KOOPHONE.API.1323")


def test_more_commands_a_minute_than_allowed_are_refused() -> None:
    api = Api(commands_per_minute=2)
    body = {"command": "echo", "instance_ids": ["one"]}
    replies = [api.call("sync-command", body, now=now).status for now in (0.0, 30.0, 59.0, 60.0, 61.0)]
    assert replies == [200, 200, 429, 200, 429]


def test_a_planted_fault_happens_as_often_as_it_was_planted() -> None:
    api = Api(call_status=429, call_times=2)
    statuses = [api.call("batch-query-status", {"instance_ids": ["one"]}).status for _ in range(3)]
    assert statuses == [429, 429, 200]
    assert list(api.management.calls) == ["POST /v1/instances/batch-query-status"] * 3


def test_a_lost_reply_is_of_a_call_that_was_carried_out() -> None:
    api = Api(call_reply_lost=True, call_times=1)
    replies = [api.call("sync-command", {"command": "echo", "instance_ids": ["one"]}) for _ in range(2)]
    assert [reply.is_lost for reply in replies] == [True, False]
    assert len(api.phone.device.commands) == 2


def test_a_command_can_be_made_to_fail_on_the_phone() -> None:
    result = Api(command_code="CPS0005").shell("echo")
    assert (result["status"], result["error_code"]) == (-1, "CPS0005")


VERBS = ["sync-command", "app/install", "batch-query-status", "reboot", "batch-reset", "video-setting", "async-command"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("one"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["instance_ids", "instance_id_list", "command", "instance_settings", "network_type", "fps"]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(verb=st.sampled_from(VERBS), body=JSON)
def test_any_json_is_answered_or_refused(verb: str, body: Any) -> None:
    reply = Api().call(verb, body)
    assert (reply.status, reply.body["error_code"]) in {
        (200, "0"),
        (400, "KOOPHONE.API.1000"),
        (200, "KOOPHONE.API.1012"),
    }


WORDS = (
    *("am", "start", "-n", "force-stop", "com.example.slow", "com.example.slow/.Main"),
    *("pm", "list", "packages", "-3", "clear", "grant", "uninstall", "monkey", "-p", "-c", "1"),
    *("input", "tap", "swipe", "keyevent", "4", "-5", "1e999", "nan"),
    *("settings", "put", "get", "delete", "global", "x", "wm", "size", "getprop"),
)


@given(words=st.lists(st.sampled_from(WORDS), max_size=7))
def test_any_command_of_known_words_is_carried_out_or_fails(words: list[str]) -> None:
    api = Api()
    if words:
        assert api.shell(" ".join(words))["status"] in {2, -1}


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"[" * 5000, b"\xff"])
def test_a_body_that_is_not_a_json_object_is_refused(body: bytes) -> None:
    assert Api().code("sync-command", body) == (400, "KOOPHONE.API.1000")
