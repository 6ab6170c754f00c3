"""Tasks that are followed to their end, and animations that are put back, over real sockets."""

import io
from typing import Final

import pytest

import streamer
from streamer.cloud.results import Job, ShellResult
from streamer.errors import CloudRefusalError, CloudUnclearError, JobFailedError
from tests.support.cloud_calls import NEVER_S, failing_with
from tests.support.scripted_http import reply, reset, silence
from tests.support.vendor_api import DONE, JOB, PHONE, RUNNING, TASK, VendorApi, ok, refusal
from tests.support.vendor_calls import INSTALL, Act

# Tasks


async def test_a_slow_command_is_followed_to_its_end(api: VendorApi, phone: streamer.CloudPhone) -> None:
    api.answer_first("tasks", ok({"jobs": []}), ok({"jobs": [RUNNING]}), reset, reply(503), ok({"jobs": [DONE]}))
    result = await phone.shell("sleep 3", wait_s=NEVER_S)
    assert result == ShellResult(output="slow\n", is_cut=False, job=JOB)
    assert len(api.server.seen("/async-command")) == 1
    assert {request.path for request in api.server.requests[1:]} == {f"/v1/instances/tasks/{TASK}"}


@pytest.mark.parametrize("status", [-1, 3])
async def test_a_failed_installation_says_why(status: int, api: VendorApi, phone: streamer.CloudPhone) -> None:
    api.jobs = [RUNNING, {"job_id": JOB, "status": status, "error_code": "CPS1", "error_msg": "no room"}]
    with failing_with(JobFailedError, "the installation of com.example.shop failed (code CPS1): no room"):
        await phone.apps.install(**INSTALL)


@pytest.mark.parametrize(
    "act",
    [
        lambda phone: phone.shell("sleep 3", wait_s=0.05),
        lambda phone: phone.apps.install(**INSTALL, timeout_s=0.05),
        lambda phone: phone.reset(timeout_s=0.05),
    ],
    ids=["shell", "install", "reset"],
)
async def test_a_task_that_does_not_end_in_time_is_named(act: Act, api: VendorApi, cloud: streamer.Cloud) -> None:
    api.jobs = [RUNNING]
    with failing_with(CloudUnclearError, f"(task {TASK}) and did not end within 0.05 s") as caught:
        await act(cloud.phone(PHONE))
    assert caught.error.task_id == TASK
    assert await cloud.task(caught.error.task_id) == (Job(job_id=JOB, status=1),)


async def test_a_task_that_the_api_does_not_know_is_unclear(api: VendorApi, phone: streamer.CloudPhone) -> None:
    api.answer_first("tasks", refusal("KOOPHONE.API.1323", 400))
    with failing_with(
        CloudUnclearError, "cannot be followed: the API refused: the app's installation task does not exist"
    ) as caught:
        await phone.reset()
    assert isinstance(caught.error.__cause__, CloudRefusalError)
    assert len(api.server.requests) == 2


async def test_polling_a_task_without_an_answer_is_given_up(
    api: VendorApi, phone: streamer.CloudPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.cloud.phone.POLL_LIMIT_S", 0.1)
    api.answer_first("tasks", silence())
    assert (await phone.shell("sleep 3", wait_s=NEVER_S)).output == "slow\n"


# Animations


def fail() -> None:
    raise ZeroDivisionError


SCALES: Final = ("window_animation_scale", "transition_animation_scale", "animator_duration_scale")


async def test_animations_are_switched_off_and_put_back(api: VendorApi, phone: streamer.CloudPhone) -> None:
    for name, output in zip(SCALES, ["1.0\n", "null\n", "0\n"], strict=True):
        api.output[f"settings get global {name}"] = output
    async with phone.disable_animations():
        assert [command for command in api.commands if " get " not in command] == [
            "settings put global window_animation_scale 0",
            "settings put global transition_animation_scale 0",
        ]
        api.commands.clear()
    assert sorted(api.commands) == [
        "settings delete global transition_animation_scale",
        "settings put global window_animation_scale 1.0",
    ]


async def test_animations_are_put_back_after_an_error_in_the_block(
    api: VendorApi, phone: streamer.CloudPhone, log: io.StringIO
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with phone.disable_animations():
            api.commands.clear()
            api.answer_first("sync-command", reset)
            fail()
    assert len(api.commands) == 2  # of three: the first had no answer
    assert "the animations of phone-1 stay off" in log.getvalue()


async def test_animations_are_put_back_when_one_cannot_be_switched_off(
    api: VendorApi, phone: streamer.CloudPhone
) -> None:
    done = ok({"cmd_results": [{"instance_id": PHONE, "status": 2}]})
    api.answer_first("sync-command", done, done, done, refusal("KOOPHONE.API.1012"))
    with failing_with(CloudRefusalError):
        async with phone.disable_animations():
            api.commands.append("the block began")
    assert sorted(api.commands) == [f"settings delete global {name}" for name in sorted(SCALES[:2])]


async def test_a_setting_is_read_again_after_a_lost_reply(api: VendorApi, phone: streamer.CloudPhone) -> None:
    api.output = {f"settings get global {name}": "0" for name in SCALES}
    api.answer_first("sync-command", reset)
    async with phone.disable_animations():
        pass
    assert len(api.server.requests) == 4
