import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.cloud import results
from streamer.cloud.results import App, InstanceInfo, InstanceStatus, Job, Task
from streamer.errors import CloudReplyError

FIELD = st.sampled_from(
    [
        "data",
        "cmd_results",
        "instance_id",
        "status",
        "execute_msg",
        "task_id",
        "cmd_jobs",
        "job_id",
        "jobs",
        "result",
        "status_results",
        "app_pkg",
        "total_count",
        "running_status",
        "error_code",
    ]
)
READERS: list[Any] = [
    lambda body: results.parse_command(body, 200, "phone-1"),
    lambda body: results.parse_task(body, 200, "phone-1"),
    lambda body: results.parse_jobs(body, 200),
    lambda body: results.parse_status(body, 200, "phone-1"),
    lambda body: results.parse_apps(body, 200),
    lambda body: results.parse_instances(body, 200),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELD, inner, max_size=4),
    max_leaves=12,
)


def body(data: object, **more: object) -> bytes:
    return json.dumps({"error_code": "0", "error_msg": "ok", "data": data, **more}).encode()


@given(st.sampled_from(READERS), st.dictionaries(FIELD, VALUES, max_size=4))
def test_any_reply_is_read_or_is_a_documented_error(read: Any, reply: dict[str, Any]) -> None:
    with contextlib.suppress(CloudReplyError):
        read(json.dumps(reply).encode())


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'"x"', b"[" * 100_000])
def test_a_reply_that_is_not_an_object_is_a_reply_error(read: Any, content: bytes) -> None:
    with pytest.raises(CloudReplyError, match="cannot be parsed"):
        read(content)


# Commands


def command_reply(**changes: object) -> bytes:
    result = {"instance_id": "phone-1", "status": 2, "execute_msg": "11\n", **changes}
    return body({"cmd_results": [result]})


def test_a_commands_output_is_unchanged() -> None:
    job = results.parse_command(command_reply(execute_msg="\x1b[31mred\x1b[0m\n"), 200, "phone-1")
    assert (job.output, job.is_over, job.has_failed, job.is_cut) == ("\x1b[31mred\x1b[0m\n", True, False, False)


@pytest.mark.parametrize(
    ("status", "is_over", "has_failed"), [(0, False, False), (1, False, False), (2, True, False), (3, True, True)]
)
def test_a_job_is_over_when_it_has_succeeded_or_failed(status: int, is_over: bool, has_failed: bool) -> None:
    job = results.parse_command(command_reply(status=str(status)), 200, "phone-1")
    assert (job.is_over, job.has_failed) == (is_over, has_failed)


def test_a_failed_command_has_the_vendors_reason_in_escaped_form() -> None:
    reply = command_reply(status=-1, error_code="CPS0005", error_msg="Phone\nnot\u202efound.")
    job = results.parse_command(reply, 200, "phone-1")
    assert job.has_failed
    assert (job.error_code, job.error_msg) == ("CPS0005", r"Phone\nnot\u202efound.")


@pytest.mark.parametrize(
    ("output", "is_cut"),
    [("x" * 1020, False), ("x" * 1024, True), ("é" * 512, True), ("\u4e2d" * 341, True), ("\u4e2d" * 340, False)],
    ids=["1020 bytes", "1024 bytes", "512 of two", "341 of three: 1023 bytes", "340 of three"],
)
def test_an_output_of_the_limits_size_may_be_cut(output: str, is_cut: bool) -> None:
    assert results.parse_command(command_reply(execute_msg=output), 200, "phone-1").is_cut is is_cut


def test_an_output_with_half_a_character_is_measured() -> None:
    content = b'{"data": {"cmd_results": [{"status": 2, "execute_msg": "\\ud800"}]}}'
    with pytest.raises(CloudReplyError):  # which JSON does not allow
        results.parse_command(content, 200, "phone-1")
    assert not Job(job_id=None, status=2, output="\ud800").is_cut


def test_the_result_of_the_instance_is_taken() -> None:
    entries = [{"instance_id": name, "status": 2, "execute_msg": name} for name in ("phone-2", "phone-1")]
    assert results.parse_command(body({"cmd_results": entries}), 200, "phone-1").output == "phone-1"


@pytest.mark.parametrize("data", [None, {}, {"cmd_results": []}, {"cmd_results": [{"status": 2}, {"status": 2}]}])
def test_a_reply_without_the_result_is_a_reply_error(data: object) -> None:
    with pytest.raises(CloudReplyError, match=r"data\.cmd_results") as caught:
        results.parse_command(body(data), 200, "phone-1")
    assert caught.value.path == "data.cmd_results"


# Tasks


def test_a_task_has_the_job_of_its_instance() -> None:
    jobs = [{"instance_id": "phone-2", "job_id": "b"}, {"instance_id": "phone-1", "job_id": "a"}]
    reply = body({"task_id": "6837531fd3f54550927b930180a706bf", "cmd_jobs": jobs})
    task = results.parse_task(reply, 200, "phone-1")
    assert task == Task(task_id="6837531fd3f54550927b930180a706bf", job_id="a")


@pytest.mark.parametrize("task_id", [None, "", "a/b", "..", "x" * 129, {"a": 1}, "a\u202eb"])
def test_a_task_without_a_usable_id_is_a_reply_error(task_id: object) -> None:
    with pytest.raises(CloudReplyError, match=r"data\.task_id") as caught:
        results.parse_task(body({"task_id": task_id}), 200, "phone-1")
    assert str(caught.value).isprintable()


def test_the_jobs_of_a_task_are_read() -> None:
    reply = body({"jobs": [{"job_id": "a", "status": -1, "error_code": "CPS0005", "error_msg": "Phone not found."}]})
    assert results.parse_jobs(reply, 200) == (
        Job(job_id="a", status=-1, error_code="CPS0005", error_msg="Phone not found."),
    )


def test_a_tasks_job_is_found_by_its_id_or_because_it_is_the_only_one() -> None:
    a, b = (Job(job_id=name, status=2) for name in "ab")
    assert Task(task_id="t", job_id="b").job_of((a, b)) is b
    assert Task(task_id="t", job_id=None).job_of((a,)) is a
    assert Task(task_id="t", job_id="c").job_of((a,)) is a
    assert Task(task_id="t", job_id=None).job_of((a, b)) is None
    assert Task(task_id="t", job_id="a").job_of(()) is None


# Instances and apps


@pytest.mark.parametrize("wrapped", [True, False], ids=["data", "an older page"])
def test_a_status_has_both_of_the_vendors_meanings(wrapped: bool) -> None:
    data = {"status_results": [{"instance_id": "phone-1", "status": "3"}]}
    reply = body(data) if wrapped else json.dumps(data).encode()
    status = results.parse_status(reply, 200, "phone-1")
    assert (status.code, status.meaning, status.older_meaning) == (3, "streaming", "going offline")
    assert str(status) == "streaming (status 3; in an older API: going offline)"


def test_a_number_that_no_page_names_is_kept() -> None:
    assert str(InstanceStatus(code=42)) == "unknown (status 42; in an older API: unknown)"
    assert InstanceInfo(instance_id="x", running_status=42).state == "status 42"
    assert InstanceInfo(instance_id="x").state == "unknown"


@pytest.mark.parametrize("entries", [[], [{"instance_id": "phone-2", "status": 3}], [{"instance_id": "phone-1"}]])
def test_a_reply_without_the_instances_status_is_a_reply_error(entries: object) -> None:
    with pytest.raises(CloudReplyError, match=r"data\.status_results"):
        results.parse_status(body({"status_results": entries}), 200, "phone-1")


def test_an_instance_is_read_as_documented() -> None:
    entry = {
        "instance_id": "Q39YyZvI",
        "instance_name": "shop 1",
        "region": "cn-north-4",
        "instance_sku": "8 cores | 16GB",
        "frozen_status": 0,
        "running_status": 2,
        "login_status": 1,
        "assign_status": "1",
        "assign_user": "worker-1",
        "phone_id": None,
    }
    page = results.parse_instances(body({"result": [entry, {"instance_name": "no id"}, "x"], "total_count": 2}), 200)
    assert page.total == 2
    assert page.entries == (
        InstanceInfo(
            instance_id="Q39YyZvI",
            name="shop 1",
            region="cn-north-4",
            specification="8 cores | 16GB",
            running_status=2,
            is_frozen=False,
            is_logged_in=True,
            is_assigned=True,
            assigned_user="worker-1",
        ),
    )
    assert page.entries[0].state == "running"


def test_an_app_is_read_as_documented() -> None:
    entry = {"app_name": "Shop", "app_version": "3.2", "app_pkg": "com.example.shop", "icon_url": "https://x/i.png"}
    page = results.parse_apps(body({"result": [entry, {"app_name": "no package"}], "total_count": "7"}), 200)
    shop = App(package="com.example.shop", name="Shop", version="3.2", icon_url="https://x/i.png")
    assert (page.entries, page.total) == ((shop,), 7)
