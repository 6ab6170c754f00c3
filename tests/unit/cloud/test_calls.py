"""What each call sends, as the vendor documents it."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from streamer.cloud import calls
from streamer.cloud.calls import Call
from streamer.errors import ConfigurationError

OF_AN_INSTANCE: list[Callable[[str], Call[Any]]] = [
    lambda name: calls.auth(name, 2),
    lambda name: calls.prepare(name, "worker-1"),
    lambda name: calls.prepare_progress(name, "worker-1"),
    calls.stop_streaming,
    calls.release_session,
    lambda name: calls.sync_command(name, "ls"),
    lambda name: calls.async_command(name, "ls"),
    lambda name: install(instance_id=name),
    lambda name: calls.apps(name, 1, is_system=None),
    calls.status_of,
    calls.reboot,
    calls.reset,
    lambda name: calls.set_video(name, fps=60, bitrate_kbps=4000),
]


def install(**changes: Any) -> Call[Any]:
    arguments = {
        "instance_id": "phone-1",
        "url": "https://obs.example.com/apks/shop.apk?Signature=s3cret",
        "package": "com.example.shop",
        "version": "3.2",
        "size_mb": 42,
        **changes,
    }
    return calls.install(**arguments)


@pytest.mark.parametrize(
    ("call", "method", "path", "query", "body"),
    [
        (
            calls.sync_command("phone-1", "ls -l /system"),
            "POST",
            "/v1/instances/sync-command",
            {},
            {"command": "ls -l /system", "instance_ids": ["phone-1"]},
        ),
        (
            calls.async_command("phone-1", "ls"),
            "POST",
            "/v1/instances/async-command",
            {},
            {"command": "ls", "instance_ids": ["phone-1"]},
        ),
        (calls.task("RM_1"), "GET", "/v1/instances/tasks/RM_1", {}, None),
        (
            calls.apps("a+b", 2, is_system=None),
            "GET",
            "/v1/instances/a%2Bb/app-list",
            {"page_no": 2, "page_size": 100},
            None,
        ),
        (
            calls.apps("phone-1", 1, is_system=True),
            "GET",
            "/v1/instances/phone-1/app-list",
            {"page_no": 1, "page_size": 100, "app_type": 1},
            None,
        ),
        (
            calls.apps("phone-1", 1, is_system=False),
            "GET",
            "/v1/instances/phone-1/app-list",
            {"page_no": 1, "page_size": 100, "app_type": 2},
            None,
        ),
        (calls.instances(3), "GET", "/v1/instances/batch-query", {"page_no": 3, "page_size": 100}, None),
        (
            calls.status_of("phone-1"),
            "POST",
            "/v1/instances/batch-query-status",
            {},
            {"instance_ids": ["phone-1"]},
        ),
        (calls.reboot("phone-1"), "POST", "/v1/instances/reboot", {}, {"instance_ids": ["phone-1"]}),
        (calls.reset("phone-1"), "POST", "/v1/instances/batch-reset", {}, {"instance_ids": ["phone-1"]}),
    ],
    ids=lambda value: value.path if isinstance(value, Call) else "",
)
def test_a_call_is_made_as_documented(
    call: Call[Any], method: str, path: str, query: dict[str, object], body: object
) -> None:
    assert (call.method, call.path, dict(call.query), call.body) == (method, path, query, body)


def test_an_installation_is_requested_as_documented() -> None:
    call = install()
    assert (call.method, call.path) == ("POST", "/v1/instances/app/install")
    assert call.body == {
        "object_name": "com.example.shop",
        "file_name": "shop.apk",
        "object_version": "3.2",
        "object_size": "42",
        "biz_type": "apk",
        "content_type": "application/octet-stream",
        "install_package_url": "https://obs.example.com/apks/shop.apk?Signature=s3cret",
        "instance_id_list": ["phone-1"],
    }
    assert install(md5="d41d8cd9").body == {**call.body, "content_md5": "d41d8cd9"}


@pytest.mark.parametrize("path", ["", "/", "/download", f"/{'x' * 200}.apk", "/%2e%2e"])
def test_a_url_that_names_no_file_has_that_of_the_package(path: str) -> None:
    body = install(url=f"https://obs.example.com{path}").body
    assert body is not None
    assert body["file_name"] == "com.example.shop.apk"


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://obs.example.com/a.apk?Signature=s3cret"},
        {"url": f"https://obs.example.com/{'x' * 2000}?Signature=s3cret"},
        {"package": "shop"},
        {"version": ""},
        {"version": "1\n"},
        {"version": "x" * 101},
        {"size_mb": 0},
        {"size_mb": float("nan")},
        {"size_mb": float("inf")},
    ],
    ids=str,
)
def test_an_invalid_installation_is_refused_without_showing_its_signature(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        install(**changes)
    assert "s3cret" not in str(caught.value)


def test_the_video_setting_has_every_network_encoding_and_resolution() -> None:
    call = calls.set_video("phone-1", fps=60, bitrate_kbps=4000)
    assert (call.method, call.path) == ("PUT", "/v1/instances/video-setting")
    body: Any = call.body
    assert body["instance_ids"] == ["phone-1"]
    pairs = [(setting["network_type"], setting["encoding_type"]) for setting in body["instance_settings"]]
    assert sorted(pairs) == sorted(itertools.product(["WIFI", "MOBILE_NETWORK", "WIRED"], ["H264", "H265"]))
    spec = {"code_rate": 4000, "fps": 60}
    group = {"definition_540P": spec, "definition_720P": spec, "definition_1080P": spec}
    assert all(setting["video_spec_groups"] == [group] for setting in body["instance_settings"])


@pytest.mark.parametrize(("fps", "bitrate_kbps"), [(59, 4000), (0, 4000), (60, 0), (60, 4050), (60, 10_100)])
def test_a_video_setting_that_the_api_does_not_take_is_refused(fps: int, bitrate_kbps: int) -> None:
    with pytest.raises(ConfigurationError, match=r"expected (fps|bitrate_kbps)"):
        calls.set_video("phone-1", fps=fps, bitrate_kbps=bitrate_kbps)


@pytest.mark.parametrize("call", OF_AN_INSTANCE)
@pytest.mark.parametrize("instance_id", ["", ".", "a/b", "a b", "a?b", "a\nb", "x" * 129])
def test_an_invalid_instance_id_is_refused(call: Callable[[str], Call[Any]], instance_id: str) -> None:
    with pytest.raises(ConfigurationError, match="instance id"):
        call(instance_id)


@pytest.mark.parametrize("task_id", ["", "a/b", "..", "a b", "x" * 129, "a\n"])
def test_an_invalid_task_id_is_refused(task_id: str) -> None:
    with pytest.raises(ConfigurationError, match="the id of a task"):
        calls.task(task_id)


@pytest.mark.parametrize("user_id", ["", "x" * 33, "a\nb"])
def test_an_invalid_user_id_is_refused(user_id: str) -> None:
    with pytest.raises(ConfigurationError, match="user id"):
        calls.prepare("phone-1", user_id)


def test_only_calls_that_change_something_on_the_phone_say_so() -> None:
    changing = {call("phone-1").path for call in OF_AN_INSTANCE if call("phone-1").changes}
    assert changing == {
        "/v1/instances/sync-command",
        "/v1/instances/async-command",
        "/v1/instances/app/install",
        "/v1/instances/reboot",
        "/v1/instances/batch-reset",
        "/v1/instances/video-setting",
    }
    assert calls.instances(1).changes is None
    assert calls.task("RM_1").changes is None


def test_commands_alone_count_against_the_commands_a_minute() -> None:
    counted = {call("phone-1").path for call in OF_AN_INSTANCE if call("phone-1").is_command}
    assert counted == {"/v1/instances/sync-command", "/v1/instances/async-command"}


def test_no_call_shows_what_it_carries() -> None:
    assert "s3cret" not in repr(install())
    assert "hunter2" not in repr(calls.sync_command("phone-1", "input text hunter2"))
