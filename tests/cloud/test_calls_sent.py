"""What the calls around the stream send, and what they give, over real sockets."""

import asyncio

import pytest

import streamer
from streamer.cloud.client import ATTEMPTS
from streamer.cloud.results import App, InstanceInfo, ShellResult
from streamer.errors import CloudUnreachableError, ConfigurationError, JobFailedError
from tests.support.cloud_calls import SECRET_KEY, TENANT_TOKEN, failing_with
from tests.support.scripted_http import after, silence
from tests.support.vendor_api import PHONE, VendorApi, ok
from tests.support.vendor_calls import ALL, CHANGING, Act, open_cloud

# What is sent, and what comes back


@pytest.mark.parametrize(("path_end", "act"), ALL)
async def test_every_call_has_the_token_and_an_id(
    path_end: str, act: Act, api: VendorApi, phone: streamer.CloudPhone
) -> None:
    api.output = dict.fromkeys(["pm clear com.example.shop", "pm uninstall com.example.shop"], "Success\n")
    await act(phone)
    (request,) = api.server.seen(f"/{path_end}")
    assert request.headers["x-auth-token"] == TENANT_TOKEN
    assert len(request.headers["x-request-id"]) == 36
    assert request.method == {"video-setting": "PUT", "app-list": "GET"}.get(path_end, "POST")


async def test_a_command_gives_what_it_printed(api: VendorApi, phone: streamer.CloudPhone) -> None:
    api.output["getprop ro.build.version.release"] = "11\n"
    result = await phone.shell("getprop ro.build.version.release")
    assert result == ShellResult(output="11\n", is_cut=False, job=None)


async def test_a_command_may_take_longer_than_other_calls(api: VendorApi) -> None:
    may_end = asyncio.Event()
    result = {"instance_id": PHONE, "status": 2, "execute_msg": "slow"}
    api.answer_first("sync-command", after(may_end, ok({"cmd_results": [result]})))
    api.answer_first("batch-query-status", *[silence()] * ATTEMPTS)
    async with open_cloud(api.server.url, timeout_s=0.2) as cloud:
        waiting = asyncio.create_task(cloud.phone(PHONE).shell("ls"))
        await api.server.wait_for_requests("/sync-command", 1)
        with failing_with(CloudUnreachableError, "timed out"):
            await cloud.phone(PHONE).status()
        may_end.set()
        assert (await waiting).output == "slow"


async def test_a_long_output_is_marked_as_cut(api: VendorApi, phone: streamer.CloudPhone) -> None:
    api.output["dumpsys window displays"] = "x" * 1024
    assert (await phone.shell("dumpsys window displays")).is_cut


async def test_a_command_that_the_api_cannot_carry_is_not_sent(api: VendorApi, phone: streamer.CloudPhone) -> None:
    with failing_with(ConfigurationError, "got '|' at position 4"):
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


async def test_an_access_key_signs_a_call_with_a_query(api: VendorApi) -> None:
    async with open_cloud(api.server.url, streamer.AccessKey(access_key="AK", secret_key=SECRET_KEY)) as cloud:
        await cloud.list()
        await cloud.phone(PHONE).set_video()
    for request in api.server.requests:
        assert request.headers["authorization"].startswith("SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-sdk-date,")


async def test_the_list_of_instances_has_the_requests_id_in_its_query_too(
    api: VendorApi, cloud: streamer.Cloud
) -> None:
    await cloud.list()
    (request,) = api.server.requests
    assert dict(request.query)["x-request-id"] == request.headers["x-request-id"]


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
        assert caught.error.output == output, command


async def test_a_failed_command_gives_the_vendors_reason(api: VendorApi, phone: streamer.CloudPhone) -> None:
    result = {"instance_id": PHONE, "status": -1, "error_code": "CPS0005", "error_msg": "Phone not\nfound."}
    api.answer_first("sync-command", ok({"cmd_results": [result]}))
    with failing_with(JobFailedError) as caught:
        await phone.shell("ls")
    assert str(caught.error) == r"the command failed (code CPS0005): Phone not\nfound."
    assert (caught.error.error_code, caught.error.output) == ("CPS0005", "")
