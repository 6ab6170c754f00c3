"""The calls around the stream against real sockets: what is repeated, and what must not be."""

import asyncio
import contextlib
import io
import logging
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

import pytest

import streamer
from streamer.cloud.client import ATTEMPTS
from streamer.cloud.results import App, InstanceInfo, Job, ShellResult
from streamer.errors import (
    CloudRefusalError,
    CloudReplyError,
    CloudUnclearError,
    CloudUnreachableError,
    ConfigurationError,
    CredentialsError,
    JobFailedError,
)
from tests.support.scripted_http import Answer, raw, reply, reset, silence
from tests.support.vendor_api import DONE, JOB, PHONE, RUNNING, TASK, VendorApi, ok, refusal, serve_vendor_api

TOKEN: Final = "tenant-token-a4c1"
SIGNATURE: Final = "url-signature-91b2"
TYPED: Final = "hunter2"
NEVER_S: Final = 30.0  # a time-out that no test means to reach
TRUST: Final = ssl.create_default_context()

Act = Callable[[streamer.CloudPhone], Awaitable[object]]
INSTALL: Final[dict[str, Any]] = {
    "url": f"https://obs.example.com/shop.apk?Signature={SIGNATURE}",
    "package": "com.example.shop",
    "version": "3.2",
    "size_mb": 42,
}
CHANGING: Final[dict[str, tuple[str, Act]]] = {
    "shell": ("sync-command", lambda phone: phone.shell(f"input text {TYPED}")),
    "slow shell": ("async-command", lambda phone: phone.shell(f"input text {TYPED}", wait_s=NEVER_S)),
    "start": ("sync-command", lambda phone: phone.apps.start("com.example.shop")),
    "stop": ("sync-command", lambda phone: phone.apps.stop("com.example.shop")),
    "clear": ("sync-command", lambda phone: phone.apps.clear("com.example.shop")),
    "grant": ("sync-command", lambda phone: phone.apps.grant("com.example.shop", "android.permission.CAMERA")),
    "uninstall": ("sync-command", lambda phone: phone.apps.uninstall("com.example.shop")),
    "install": ("install", lambda phone: phone.apps.install(**INSTALL)),
    "reboot": ("reboot", lambda phone: phone.reboot()),
    "reset": ("batch-reset", lambda phone: phone.reset()),
    "set_video": ("video-setting", lambda phone: phone.set_video(fps=60)),
}
HARMLESS: Final[dict[str, tuple[str, Act]]] = {
    "status": ("batch-query-status", lambda phone: phone.status()),
    "list": ("app-list", lambda phone: phone.apps.list()),
}
CHANGES: Final = [pytest.param(*case, id=name) for name, case in CHANGING.items()]
ALL: Final = [pytest.param(*case, id=name) for name, case in {**CHANGING, **HARMLESS}.items()]
UNCLEAR: Final = {
    "reset": reset,
    "closed": raw(b"", end=True),
    "cut body": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{", end=True),
    "no JSON": reply(200, b"<html>"),
    "HTTP 500": refusal("KOOPHONE.API.9999", 500),
    "HTTP 502": reply(502, b"<html>"),
    "code 9999": refusal("KOOPHONE.API.9999"),
}
FINAL: Final = {
    "code 1012": (refusal("KOOPHONE.API.1012"), CloudRefusalError),
    "code 5005": (refusal("KOOPHONE.API.5005", 400), CloudRefusalError),
    "no rights": (refusal("KOOPHONE.API.1001", 401), CredentialsError),
    "HTTP 404": (reply(404, b"<html>"), CloudReplyError),
    "a redirect": (reply(302, Location="http://example.com/"), CloudReplyError),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.retry_policy.FIRST_DELAY_S", 0.001)
    monkeypatch.setattr("streamer.retry_policy.SLOW_DELAY_S", 0.001)
    monkeypatch.setattr("streamer.cloud.call_rate._FIRST_POLL_S", 0.001)


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    """Everything that any library logs at DEBUG. At the end of each test no secret may stand in it."""
    written = io.StringIO()
    handler, root = logging.StreamHandler(written), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(level)
    root.removeHandler(handler)
    assert not [secret for secret in (TOKEN, SIGNATURE, TYPED) if secret in written.getvalue()]


@contextlib.contextmanager
def failing_with(kind: type[Exception], words: str = ".") -> Iterator[Any]:
    """Expect an error of exactly this class that shows neither a secret nor what was typed."""
    with pytest.raises(kind, match=words) as caught:
        yield caught
    assert type(caught.value) is kind
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    lines = [line for line in shown.splitlines() if not line.startswith("    ")]  # not the source of this test
    assert not [secret for secret in (TOKEN, SIGNATURE, TYPED) if secret in "\n".join(lines)]


def open_cloud(url: str, credentials: Any = None, **options: Any) -> streamer.Cloud:
    return streamer.Cloud(
        endpoint=url,
        credentials=credentials or streamer.Token(TOKEN),
        **{"timeout_s": NEVER_S, "verify": TRUST, "calls_per_minute": 6000, **options},
    )


@pytest.fixture
async def api() -> AsyncIterator[VendorApi]:
    async with serve_vendor_api() as running:
        yield running


@pytest.fixture
async def cloud(api: VendorApi) -> AsyncIterator[streamer.Cloud]:
    async with open_cloud(api.server.url) as opened:
        yield opened


@pytest.fixture
def phone(cloud: streamer.Cloud) -> streamer.CloudPhone:
    return cloud.phone(PHONE)


# What is sent, and what comes back


@pytest.mark.parametrize(("path_end", "act"), ALL)
async def test_every_call_has_the_token_and_an_id(
    path_end: str, act: Act, api: VendorApi, phone: streamer.CloudPhone
) -> None:
    api.output = dict.fromkeys(["pm clear com.example.shop", "pm uninstall com.example.shop"], "Success\n")
    await act(phone)
    (request,) = api.server.seen(f"/{path_end}")
    assert request.headers["x-auth-token"] == TOKEN
    assert len(request.headers["x-request-id"]) == 36
    assert request.method == {"video-setting": "PUT", "app-list": "GET"}.get(path_end, "POST")


async def test_a_command_gives_what_it_printed(api: VendorApi, phone: streamer.CloudPhone) -> None:
    api.output["getprop ro.build.version.release"] = "11\n"
    result = await phone.shell("getprop ro.build.version.release")
    assert result == ShellResult(output="11\n", is_cut=False, job=None)


async def test_a_long_output_is_marked_as_cut(api: VendorApi, phone: streamer.CloudPhone) -> None:
    api.output["dumpsys window displays"] = "x" * 1024
    assert (await phone.shell("dumpsys window displays")).is_cut


async def test_a_command_that_the_api_cannot_carry_is_not_sent(api: VendorApi, phone: streamer.CloudPhone) -> None:
    with failing_with(ConfigurationError, "got '\\|' at position 4"):
        await phone.shell("ls | cat")
    with failing_with(ConfigurationError, "a package such as"):
        await phone.apps.start("com.example.shop; rm")
    with failing_with(ConfigurationError, "a time limit above 0"):
        await phone.shell("ls", wait_s=0)
    assert api.server.requests == []


async def test_the_phones_status_is_asked_for(phone: streamer.CloudPhone) -> None:
    assert (await phone.status()).meaning == "streaming"


async def test_the_apps_are_listed_page_by_page(api: VendorApi, phone: streamer.CloudPhone) -> None:
    api.pages["app-list"] = [{"app_pkg": f"com.example.app{number}"} for number in range(250)]
    apps = await phone.apps.list(is_system=False)
    assert list(apps) == [App(package=f"com.example.app{number}") for number in range(250)]
    assert [dict(request.query)["page_no"] for request in api.server.requests] == ["1", "2", "3"]
    assert all(dict(request.query)["app_type"] == "2" for request in api.server.requests)


@pytest.mark.parametrize(("limit", "pages"), [(1, 1), (100, 1), (101, 2), (1000, 3)])
async def test_a_list_ends_at_its_limit(limit: int, pages: int, api: VendorApi, cloud: streamer.Cloud) -> None:
    api.pages["batch-query"] = [{"instance_id": f"phone-{number}"} for number in range(250)]
    instances = await cloud.list(limit=limit)
    assert list(instances) == [InstanceInfo(instance_id=f"phone-{number}") for number in range(min(limit, 250))]
    assert len(api.server.requests) == pages


async def test_a_list_without_a_total_ends_with_a_page_that_is_not_full(api: VendorApi, cloud: streamer.Cloud) -> None:
    full = ok({"result": [{"instance_id": "a"}] * 100})
    api.answer_first("batch-query", full, ok({"result": [{"instance_id": "b"}]}))
    assert len(await cloud.list()) == 101
    assert len(api.server.requests) == 2


async def test_a_list_whose_server_never_ends_it_is_bounded(api: VendorApi, cloud: streamer.Cloud) -> None:
    api.answer_first("batch-query", *[ok({"result": [{"instance_id": "a"}], "total_count": 10**9})] * 50)
    assert len(await cloud.list()) == len(api.server.requests) == 10


async def test_the_list_of_instances_has_the_requests_id_in_its_query_too(
    api: VendorApi, cloud: streamer.Cloud
) -> None:
    await cloud.list()
    (request,) = api.server.requests
    assert dict(request.query)["x-request-id"] == request.headers["x-request-id"]


# Calls without a clear answer


@pytest.mark.parametrize("answer", UNCLEAR.values(), ids=UNCLEAR)
@pytest.mark.parametrize(("path_end", "act"), CHANGES)
async def test_a_change_with_an_unclear_answer_is_never_repeated(
    path_end: str, act: Act, answer: Answer, api: VendorApi, phone: streamer.CloudPhone
) -> None:
    api.answer_first(path_end, *[answer] * 10)
    with failing_with(CloudUnclearError, "may have been carried out, and is not repeated") as caught:
        await act(phone)
    assert caught.value.__cause__ is not None
    assert not caught.value.retryable
    assert len(api.server.requests) == 1


async def test_a_change_whose_answer_takes_too_long_is_not_repeated(api: VendorApi) -> None:
    api.answer_first("reboot", silence())
    async with open_cloud(api.server.url, timeout_s=0.2) as cloud:
        with failing_with(CloudUnclearError, "the reboot may have been carried out.*timed out"):
            await cloud.phone(PHONE).reboot()
    assert len(api.server.requests) == 1


@pytest.mark.parametrize(
    "data", [None, {}, {"cmd_results": []}, {"cmd_results": [{"instance_id": PHONE}]}, {"task_id": "a/b"}], ids=str
)
@pytest.mark.parametrize("wait_s", [None, NEVER_S])
async def test_a_success_without_its_result_is_unclear(
    wait_s: float | None, data: object, api: VendorApi, phone: streamer.CloudPhone
) -> None:
    api.answer_first("sync-command", ok(data))
    api.answer_first("async-command", ok(data))
    with failing_with(CloudUnclearError):
        await phone.shell("ls", wait_s=wait_s)
    assert len(api.server.requests) == 1


async def test_a_command_that_still_runs_when_the_api_answers_is_unclear(
    api: VendorApi, phone: streamer.CloudPhone
) -> None:
    api.answer_first("sync-command", ok({"cmd_results": [{"instance_id": PHONE, "status": 1}]}))
    with failing_with(CloudUnclearError, "use wait_s"):
        await phone.shell("sleep 60")


@pytest.mark.parametrize("final", FINAL.values(), ids=FINAL)
@pytest.mark.parametrize(("path_end", "act"), ALL)
async def test_a_refusal_is_clear_and_final(
    path_end: str,
    act: Act,
    final: tuple[Answer, type[Exception]],
    api: VendorApi,
    phone: streamer.CloudPhone,
) -> None:
    answer, kind = final
    api.answer_first(path_end, *[answer] * 10)
    with failing_with(kind):
        await act(phone)
    assert len(api.server.requests) == 1


@pytest.mark.parametrize(("path_end", "act"), ALL)
async def test_nothing_is_unclear_if_nothing_was_sent(path_end: str, act: Act) -> None:
    with socket.socket() as bound:  # and never listening
        bound.bind(("127.0.0.1", 0))
        async with open_cloud(f"http://127.0.0.1:{bound.getsockname()[1]}") as cloud:
            with failing_with(CloudUnreachableError, "the connection was refused") as caught:
                await act(cloud.phone(PHONE))
    assert not caught.value.was_sent, path_end


# Calls that are repeated


@pytest.mark.parametrize("answer", UNCLEAR.values(), ids=UNCLEAR)
@pytest.mark.parametrize(("path_end", "act"), [pytest.param(*case, id=name) for name, case in HARMLESS.items()])
async def test_a_call_that_changes_nothing_is_repeated(
    path_end: str, act: Act, answer: Answer, api: VendorApi, phone: streamer.CloudPhone
) -> None:
    api.answer_first(path_end, answer)
    if answer is UNCLEAR["no JSON"]:  # which another try does not mend
        with failing_with(CloudReplyError):
            await act(phone)
        return
    await act(phone)
    assert len(api.server.requests) == 2
    assert len({request.headers["x-request-id"] for request in api.server.requests}) == 2


@pytest.mark.parametrize("answer", [reply(429), refusal("APIGW.0308", 429)], ids=["nothing", "a code"])
@pytest.mark.parametrize(("path_end", "act"), ALL)
async def test_after_too_many_calls_every_call_is_repeated(
    path_end: str, act: Act, answer: Answer, api: VendorApi, phone: streamer.CloudPhone
) -> None:
    api.output = dict.fromkeys(["pm clear com.example.shop", "pm uninstall com.example.shop"], "Success\n")
    api.answer_first(path_end, answer, answer)
    await act(phone)
    assert len(api.server.seen(f"/{path_end}")) == 3


async def test_too_many_calls_are_given_up_at_last(api: VendorApi, phone: streamer.CloudPhone) -> None:
    api.answer_first("sync-command", *[reply(429)] * 20)
    with failing_with(CloudReplyError, "HTTP 429"):
        await phone.shell("ls")
    assert len(api.server.requests) == 7
    assert api.commands == []


async def test_refused_credentials_are_renewed_once_for_a_change(api: VendorApi) -> None:
    tokens = iter(["an-old-token", TOKEN])
    api.answer_first("reboot", refusal("KOOPHONE.API.1001", 401))
    async with open_cloud(api.server.url, streamer.TokenProvider(lambda: next(tokens))) as cloud:
        await cloud.phone(PHONE).reboot()
    assert [request.headers["x-auth-token"] for request in api.server.requests] == ["an-old-token", TOKEN]


async def test_an_identity_service_that_fails_leaves_nothing_unclear(api: VendorApi) -> None:
    api.answer_first("tokens", *[reset] * 10)
    password = streamer.Password(iam_endpoint=api.server.url, domain="domain-1", user="user-1", password=TYPED)
    async with open_cloud(api.server.url, password) as cloud:
        with failing_with(CloudUnreachableError):
            await cloud.phone(PHONE).reboot()
    assert api.server.seen("/reboot") == []
    assert len(api.server.requests) == ATTEMPTS


# Failures on the phone


@pytest.mark.parametrize(
    ("act", "command", "output"),
    [
        (CHANGING["start"][1], "monkey -p com.example.shop", "** No activities found to run, monkey aborted."),
        (CHANGING["clear"][1], "pm clear com.example.shop", "Failed\n"),
        (CHANGING["uninstall"][1], "pm uninstall com.example.shop", "Failure [DELETE_FAILED_INTERNAL_ERROR]\n"),
        (CHANGING["grant"][1], "pm grant com.example.shop", "Exception occurred while executing 'grant':\n…"),
    ],
    ids=["start", "clear", "uninstall", "grant"],
)
async def test_an_action_on_an_app_that_is_not_there_fails(
    act: Act, command: str, output: str, api: VendorApi, phone: streamer.CloudPhone
) -> None:
    result = {"instance_id": PHONE, "status": 2, "execute_msg": output}
    api.answer_first("sync-command", ok({"cmd_results": [result]}), ok({"cmd_results": [{**result, "status": -1}]}))
    for _ in range(2):  # whether or not the API looks at the exit code
        with failing_with(JobFailedError, "com.example.shop failed: ") as caught:
            await act(phone)
        assert caught.value.output == output, command


async def test_a_failed_command_tells_the_vendors_reason(api: VendorApi, phone: streamer.CloudPhone) -> None:
    result = {"instance_id": PHONE, "status": -1, "error_code": "CPS0005", "error_msg": "Phone not\nfound."}
    api.answer_first("sync-command", ok({"cmd_results": [result]}))
    with failing_with(JobFailedError) as caught:
        await phone.shell("ls")
    assert str(caught.value) == r"the command failed (code CPS0005): Phone not\nfound."
    assert (caught.value.error_code, caught.value.output) == ("CPS0005", "")


# Tasks


async def test_a_slow_command_is_followed_to_its_end(api: VendorApi, phone: streamer.CloudPhone) -> None:
    api.answer_first("tasks", ok({"jobs": []}), ok({"jobs": [RUNNING]}), reset, reply(503), ok({"jobs": [DONE]}))
    result = await phone.shell("sleep 3", wait_s=NEVER_S)
    assert result == ShellResult(output="slow\n", is_cut=False, job=JOB)
    assert len(api.server.seen("/async-command")) == 1
    assert {request.path for request in api.server.requests[1:]} == {f"/v1/instances/tasks/{TASK}"}


@pytest.mark.parametrize("status", [-1, 3])
async def test_an_installation_that_fails_tells_why(status: int, api: VendorApi, phone: streamer.CloudPhone) -> None:
    api.jobs = [RUNNING, {"job_id": JOB, "status": status, "error_code": "CPS1", "error_msg": "no room"}]
    with failing_with(JobFailedError, r"the installation of com\.example\.shop failed \(code CPS1\): no room"):
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
    with failing_with(CloudUnclearError, rf"\(task {TASK}\) and did not end within 0.05 s") as caught:
        await act(cloud.phone(PHONE))
    assert caught.value.task_id == TASK
    assert await cloud.task(caught.value.task_id) == (Job(job_id=JOB, status=1),)


async def test_a_task_that_the_api_does_not_know_is_unclear(api: VendorApi, phone: streamer.CloudPhone) -> None:
    api.answer_first("tasks", refusal("KOOPHONE.API.1323", 400))
    with failing_with(CloudUnclearError, "cannot be followed: .*1323") as caught:
        await phone.reset()
    assert isinstance(caught.value.__cause__, CloudRefusalError)
    assert len(api.server.requests) == 2


async def test_a_question_about_a_task_that_gets_no_answer_is_given_up(
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


# The limit of commands a minute


async def wait_until_idle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_command_beyond_the_limit_waits(api: VendorApi) -> None:
    credentials = streamer.Token(TOKEN)
    async with (
        open_cloud(api.server.url, credentials, calls_per_minute=2) as cloud,
        open_cloud(api.server.url, credentials, calls_per_minute=None) as other,
    ):
        await cloud.phone(PHONE).shell("ls")
        await other.phone(PHONE).shell("ls")
        waiting = [asyncio.create_task(each.phone(PHONE).shell("ls")) for each in (cloud, other)]
        await other.phone(PHONE).status()  # which is no command
        assert not any(task.done() for task in waiting)
        assert len(api.server.seen("/sync-command")) == 2
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_commands_go_on_when_their_minute_is_over(api: VendorApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.cloud.call_rate._WINDOW_S", 0.05)
    async with open_cloud(api.server.url, calls_per_minute=1) as cloud:
        phone = cloud.phone(PHONE)
        await asyncio.gather(*(phone.shell(f"echo {number}") for number in range(4)))
    assert api.commands == [f"echo {number}" for number in range(4)]


async def test_a_cancelled_command_takes_no_turn(api: VendorApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.cloud.call_rate._WINDOW_S", 0.2)
    async with open_cloud(api.server.url, calls_per_minute=1) as cloud:
        phone = cloud.phone(PHONE)
        await phone.shell("echo 0")
        waiting = [asyncio.create_task(phone.shell(f"echo {number}")) for number in (1, 2)]
        await wait_until_idle()
        waiting[0].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert api.commands == ["echo 0", "echo 2"]


async def test_other_credentials_have_a_limit_of_their_own(api: VendorApi) -> None:
    for _ in range(2):
        async with open_cloud(api.server.url, streamer.Token(TOKEN), calls_per_minute=1) as cloud:
            await cloud.phone(PHONE).shell("ls")
    assert len(api.server.requests) == 2


# Ownership


async def test_a_closed_cloud_says_so(api: VendorApi) -> None:
    async with open_cloud(api.server.url) as cloud:
        phone = cloud.phone(PHONE)
    with failing_with(ConfigurationError, "before the block"):
        await phone.status()


def test_a_call_from_another_loop_says_so() -> None:
    async def begin() -> streamer.Cloud:
        return await open_cloud("http://127.0.0.1:1").__aenter__()

    cloud = asyncio.run(begin())

    async def go_on() -> None:
        with failing_with(ConfigurationError, "another event loop"):
            await cloud.phone(PHONE).shell("ls")

    asyncio.run(go_on())


@pytest.mark.parametrize("options", [{"timeout_s": 0}, {"calls_per_minute": 0}, {"endpoint": "ftp://x"}], ids=str)
def test_what_makes_no_sense_is_refused_at_once(options: dict[str, Any]) -> None:
    with failing_with(ConfigurationError):
        streamer.Cloud(**{"endpoint": "http://127.0.0.1:1", "credentials": TOKEN, **options})


async def test_what_a_command_types_reaches_no_log(phone: streamer.CloudPhone, log: io.StringIO) -> None:
    await phone.shell(f"input text {TYPED}")
    assert "> POST /v1/instances/sync-command" in log.getvalue()
