"""The emulator's calls beside a stream, over real sockets."""

from typing import Any

import httpx
import pytest

from streamer import emulator
from streamer.emulator import EmulatedPhone, Faults
from streamer.errors import ConfigurationError
from streamer.protocol_constants import REQUEST_ID_HEADER, TENANT_TOKEN_HEADER
from tests.support.phone_client import LIMIT_S


async def call(phone: EmulatedPhone, method: str, verb: str, body: object = None) -> httpx.Response:
    headers = {TENANT_TOKEN_HEADER: phone.tenant_token, REQUEST_ID_HEADER: "1"}
    async with httpx.AsyncClient(timeout=LIMIT_S, verify=False) as client:
        return await client.request(method, f"{phone.endpoint}/v1/instances/{verb}", json=body, headers=headers)


async def test_the_calls_beside_a_stream_are_reached_over_http() -> None:
    faults = Faults()
    async with emulator.serve(width=360, height=640, audio=False, faults=faults, reboot_s=600) as phone:
        ids = {"instance_ids": [phone.instance_id]}
        result = (await call(phone, "POST", "sync-command", {"command": "wm size", **ids})).json()["data"]
        assert result["cmd_results"][0]["execute_msg"] == "Physical size: 360x640"
        apps = (await call(phone, "GET", f"{phone.instance_id}/app-list?page_no=2&page_size=3&app_type=2")).json()[
            "data"
        ]
        assert (apps["page_no"], len(apps["result"])) == (2, 3)
        assert (await call(phone, "GET", "sync-command")).status_code == 405
        faults.call_reply_lost = True
        with pytest.raises(httpx.RemoteProtocolError):
            await call(phone, "POST", "reboot", ids)
        faults.call_reply_lost = False
        assert phone.status == 4
        refused = (await call(phone, "POST", f"{phone.instance_id}/auth")).json()
        assert refused["error_code"] == "KOOPHONE.API.2005"


async def test_one_call_reaches_several_phones_of_a_fleet() -> None:
    async with emulator.serve_fleet(2, width=360, height=640, audio=False) as fleet:
        listed = (await call(fleet.phones[0], "GET", "batch-query")).json()["data"]
        ids = [phone["instance_id"] for phone in listed["result"]]
        assert ids == [phone.instance_id for phone in fleet.phones]
        await call(fleet.phones[1], "POST", "sync-command", {"command": "echo both", "instance_ids": ids})
        assert [list(phone.device.commands) for phone in fleet.phones] == [["echo both"]] * 2


async def test_an_app_opens_even_if_nobody_watches() -> None:
    async with emulator.serve(width=180, height=320, audio=False, screen="apps") as phone:
        assert phone.app_in_front == "com.android.launcher3"
        command = {"command": "am start -n com.example.slow/.Main", "instance_ids": [phone.instance_id]}
        await call(phone, "POST", "sync-command", command)
        assert phone.app_in_front == "com.example.slow"
        phone.rotate()
        assert phone.app_in_front == "com.example.slow"
        assert phone.device.size == (320, 180)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"screen": "tv"}, 'expected "showcase" or "apps" for the screen'),
        ({"screen": "apps", "flash_and_beep": True}, "no flashes with apps"),
        ({"reactions_ms": ()}, "expected 1 to 8 reaction times"),
        ({"reactions_ms": (-1,)}, "expected 1 to 8 reaction times"),
        ({"reactions_ms": (0.5,)}, "expected 1 to 8 reaction times"),
    ],
)
async def test_an_unknown_screen_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        async with emulator.serve(**options):
            pass
