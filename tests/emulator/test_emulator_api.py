"""The emulator's auth API over real sockets."""

import asyncio
from urllib.parse import urlsplit

import httpx
import pytest

from streamer import emulator
from streamer.cloud.client import CloudClient
from streamer.cloud.credentials import Token
from streamer.emulator import EmulatedPhone, Faults
from streamer.errors import ConfigurationError
from tests.support.phone_client import LIMIT_S, call_auth


async def ask(phone: EmulatedPhone, request: bytes) -> bytes:
    """Send these bytes and return all that comes until the phone closes."""
    address = urlsplit(phone.endpoint)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(request)
        async with asyncio.timeout(LIMIT_S):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_good_call_gets_the_documented_reply() -> None:
    async with emulator.serve(expires_in_s=600) as phone:
        reply = await call_auth(phone)
        body = reply.json()
    assert (reply.status_code, body["error_code"]) == (200, "0")
    resource = body["data"]["resource"]
    assert (resource["device_id"], resource["kp_id"]) == (phone.device_id, phone.instance_id)
    internal, external = resource["sdk"]["internal"], resource["sdk"]["external"]
    assert (type(internal["aport"]), type(internal["atype"])) == (str, str)
    assert (type(external["aport"]), type(external["atype"])) == (int, int)
    assert resource["rtc"]["ice_signaling"] == {
        "signaling_url": phone.signaling_url,
        "expired_time": "600",
        "ice_servers": [],
    }
    assert body["data"]["device_token"]
    assert body["data"]["streamingId"]


async def test_every_call_gets_another_device_token() -> None:
    async with emulator.serve() as phone:
        tokens = {(await call_auth(phone)).json()["data"]["device_token"] for _ in range(3)}
    assert len(tokens) == 3


async def test_every_phone_has_its_own_tenant_token_unless_one_is_given() -> None:
    async with emulator.serve() as one, emulator.serve() as other, emulator.serve(tenant_token="mine") as third:
        assert one.tenant_token != other.tenant_token
        assert third.tenant_token == "mine"


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_a_wrong_tenant_token_is_refused_by_the_gateway(token: str) -> None:
    async with emulator.serve() as phone:
        reply = await call_auth(phone, x_auth_token=token)
    assert reply.status_code == 401
    assert reply.json()["error_code"].startswith("APIGW.")


async def test_a_missing_request_id_is_named() -> None:
    async with emulator.serve() as phone:
        reply = await call_auth(phone, x_request_id="")
    assert (reply.status_code, reply.json()["error_code"]) == (200, "KOOPHONE.API.0002")


async def test_an_unknown_instance_is_refused_with_http_200() -> None:
    async with emulator.serve() as phone:
        reply = await call_auth(phone, "another")
    assert (reply.status_code, reply.json()["error_code"]) == (200, "KOOPHONE.API.1012")


async def test_a_prefix_in_front_of_the_path_is_accepted() -> None:
    async with emulator.serve() as phone, httpx.AsyncClient(verify=False) as client:
        reply = await client.post(
            f"{phone.endpoint}/openapi/koophone/v1/instances/{phone.instance_id}/auth",
            headers={"x-auth-token": phone.tenant_token, "x-request-id": "1"},
        )
    assert reply.json()["error_code"] == "0"


async def test_one_connection_serves_several_calls() -> None:
    async with emulator.serve() as phone:
        call = (
            f"POST /v1/instances/{phone.instance_id}/auth HTTP/1.1\r\nhost: phone\r\nx-request-id: 1\r\n"
            f"x-auth-token: {phone.tenant_token}\r\ncontent-length: 2\r\n"
        )
        answer = await ask(phone, f"{call}\r\n{{}}{call}connection: close\r\n\r\n{{}}".encode())
    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.count(b'"device_token"') == 2


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nhost: x\r\nlong: " + b"x" * 100_000 + b"\r\n\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000, b"413"),
    ],
    ids=["no http", "no host", "long header", "long body"],
)
async def test_a_bad_request_is_answered_and_the_connection_closed(request_bytes: bytes, status: bytes) -> None:
    async with emulator.serve() as phone:
        assert (await ask(phone, request_bytes)).startswith(b"HTTP/1.1 " + status)


async def test_an_injected_error_code_comes_with_its_status() -> None:
    async with emulator.serve(faults=Faults(auth_code="KOOPHONE.API.9999", auth_status=500)) as phone:
        reply = await call_auth(phone)
    assert (reply.status_code, reply.json()["error_code"]) == (500, "KOOPHONE.API.9999")


async def test_an_injected_error_may_happen_only_once() -> None:
    async with emulator.serve(faults=Faults(auth_code="KOOPHONE.API.2005", auth_times=1)) as phone:
        codes = [(await call_auth(phone)).json()["error_code"] for _ in range(2)]
    assert codes == ["KOOPHONE.API.2005", "0"]


async def test_a_fault_may_be_set_while_the_phone_runs() -> None:
    async with emulator.serve() as phone:
        before = (await call_auth(phone)).json()["error_code"]
        phone.faults.auth_code = "KOOPHONE.API.2004"
        after = (await call_auth(phone)).json()["error_code"]
    assert (before, after) == ("0", "KOOPHONE.API.2004")


async def test_the_body_may_be_html_or_empty() -> None:
    async with emulator.serve(faults=Faults(auth_body="html")) as phone:
        assert (await call_auth(phone)).text.startswith("<html>")
        phone.faults.auth_body = "empty"
        assert (await call_auth(phone)).content == b""


async def test_the_body_may_be_cut_short() -> None:
    async with emulator.serve(faults=Faults(auth_body="truncated")) as phone:
        with pytest.raises(httpx.RemoteProtocolError):
            await call_auth(phone)


async def test_the_older_shape_has_no_ice_signaling_level() -> None:
    async with emulator.serve(faults=Faults(auth_body="flat")) as phone:
        rtc = (await call_auth(phone)).json()["data"]["resource"]["rtc"]
    assert rtc["signaling_url"] == phone.signaling_url
    assert "ice_signaling" not in rtc


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "phone.example"])
@pytest.mark.parametrize("token", [None, "", "fifteen-letters"])
async def test_the_phone_demands_a_token_if_others_can_reach_it(host: str, token: str | None) -> None:
    with pytest.raises(ConfigurationError, match="expected a token of at least 16 characters"):
        async with emulator.serve(host=host, tenant_token=token):
            pass


async def test_a_phone_with_a_token_listens_where_others_can_reach_it() -> None:
    async with emulator.serve(host="0.0.0.0", tenant_token="sixteen-letters!") as phone:
        assert phone.tenant_token == "sixteen-letters!"
        by_name = phone.endpoint.replace("127.0.0.1", "localhost")
        for endpoint, name in ((phone.endpoint, "127.0.0.1"), (by_name, "localhost")):
            async with CloudClient(endpoint, Token(phone.tenant_token)) as cloud:
                ticket = await cloud.fetch_ticket(phone.instance_id)
            assert urlsplit(ticket.signaling_url).hostname == name


async def test_an_ipv6_address_stands_in_brackets() -> None:
    async with emulator.serve(host="::1") as phone:
        assert phone.endpoint.startswith("http://[::1]:")
        assert phone.signaling_url.startswith("http://[::1]:")
