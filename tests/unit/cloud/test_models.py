import copy
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.audio_ports import AudioPort, AudioPorts
from streamer.cloud.models import Ticket, parse_ticket
from streamer.errors import CloudRefusalError, CloudReplyError
from streamer.untrusted_text import CONTAINERS_LIMIT
from tests.support.replies import REPLY, SIGNALING, TOKEN, changed, read_ticket

ALL_PATHS = [
    "data",
    "data.device_token",
    "data.streamingId",
    "data.resource",
    "data.resource.device_id",
    "data.resource.kp_id",
    "data.resource.sdk",
    *(
        f"data.resource.sdk.{side}{leaf}"
        for side in ("internal", "external")
        for leaf in ("", ".address", ".aport", ".atype", ".address_ipv6")
    ),
    "data.resource.rtc",
    SIGNALING,
    f"{SIGNALING}.signaling_url",
    f"{SIGNALING}.expired_time",
    f"{SIGNALING}.ice_servers",
    "error_code",
    "error_msg",
]
NEEDED_PATHS = ["data.device_token", "data.resource.device_id", f"{SIGNALING}.signaling_url"]
LEVELS_ABOVE = {
    "data": "data.device_token",
    "data.resource": "data.resource.device_id",
    "data.resource.rtc": f"{SIGNALING}.signaling_url",
    SIGNALING: f"{SIGNALING}.signaling_url",
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def without(path: str) -> dict[str, Any]:
    reply = copy.deepcopy(REPLY)
    *above, last = path.split(".")
    level = reply
    for name in above:
        level = level[name]
    del level[last]
    return reply


def read_or_refuse(body: bytes, status: int) -> None:
    """Read a reply; the result is a ticket or a documented error."""
    try:
        ticket = read_ticket(body, status=status)
    except (CloudReplyError, CloudRefusalError):
        return
    assert status < 400
    assert ticket.device_token
    assert ticket.device_id
    assert ticket.signaling_url


@given(st.binary(), st.sampled_from([200, 302, 400, 401, 429, 500]))
def test_any_bytes_give_a_ticket_or_a_documented_error(body: bytes, status: int) -> None:
    """Law: any body, with any status, gives a Ticket, a CloudReplyError or a CloudRefusalError."""
    read_or_refuse(body, status)


@given(json_values, st.sampled_from([200, 302, 400, 401, 429, 500]))
def test_any_json_gives_a_ticket_or_a_documented_error(value: object, status: int) -> None:
    """Law: as above, for any JSON."""
    read_or_refuse(json.dumps(value).encode(), status)


@given(st.lists(st.tuples(st.sampled_from(ALL_PATHS), json_values)))
def test_any_json_in_any_field_gives_a_ticket_or_a_documented_error(changes: list[tuple[str, object]]) -> None:
    """Law: as above, for the documented reply with any JSON at any of its paths."""
    changes.sort(key=lambda change: -change[0].count("."))  # a level is replaced after what is below it
    read_or_refuse(json.dumps(changed(*changes)).encode(), 200)


@given(st.integers(0, len(json.dumps(REPLY)) - 1))
def test_a_reply_cut_anywhere_is_a_reply_error(length: int) -> None:
    """Law: no proper beginning of a reply is a reply."""
    with pytest.raises(CloudReplyError):
        read_ticket(json.dumps(REPLY).encode()[:length])


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        json.dumps(REPLY | {"x": [[]] * CONTAINERS_LIMIT}).encode(),
        b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        json.dumps(changed((f"{SIGNALING}.ice_servers", "@")))
        .encode()
        .replace(b'"@"', b'[{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}]"),
    ],
    ids=["open", "of too many lists", "closed", "in a field that is kept"],
)
def test_a_reply_nested_too_deeply_or_with_too_many_parts_is_a_reply_error(body: bytes) -> None:
    with pytest.raises(CloudReplyError):
        read_ticket(body)


def test_a_documented_reply_is_read_in_full() -> None:
    ticket = read_ticket(REPLY)
    assert ticket == Ticket(
        instance_id="instance-1",
        device_id="device-1",
        device_token=ticket.device_token,
        signaling_url="http://203.0.113.8:18082",
        streaming_id="stream-1",
        expires_in_s=3600.0,
        ice_servers=("stun:203.0.113.9:3478",),
        audio_ports=AudioPorts(
            internal=AudioPort(address="192.168.0.9", port=10020, type=2, address_ipv6="fd00::9"),
            external=AudioPort(address="203.0.113.7", port=10030, type=1),
        ),
    )
    assert ticket.device_token.reveal() == TOKEN


def test_the_older_shape_without_the_level_ice_signaling_gives_the_same_ticket() -> None:
    older = changed(("data.resource.rtc", REPLY["data"]["resource"]["rtc"]["ice_signaling"]))
    assert read_ticket(older) == read_ticket(REPLY)


@pytest.mark.parametrize("port", [10030, "10030"])
@pytest.mark.parametrize("side", ["internal", "external"])
def test_a_port_may_be_a_number_or_a_string(side: str, port: object) -> None:
    audio_port = getattr(read_ticket(changed((f"data.resource.sdk.{side}.aport", port))).audio_ports, side)
    assert audio_port.port == 10030
    assert type(audio_port.port) is int


@pytest.mark.parametrize(("value", "expected"), [("60", 60.0), (60, 60.0), (1.5, 1.5), (None, None), ("", None)])
def test_a_streaming_time_may_be_a_number_a_string_or_nothing(value: object, expected: float | None) -> None:
    assert read_ticket(changed((f"{SIGNALING}.expired_time", value))).expires_in_s == expected


@pytest.mark.parametrize("code", ["0", 0, None])
def test_success_is_code_0_as_string_or_number_or_no_code(code: object) -> None:
    assert read_ticket(changed(("error_code", code))).device_id == "device-1"


@pytest.mark.parametrize("path", [path for path in ALL_PATHS if path not in {*NEEDED_PATHS, *LEVELS_ABOVE}])
def test_a_field_that_is_not_needed_may_be_null_or_missing(path: str) -> None:
    assert read_ticket(changed((path, None))) == read_ticket(without(path))


def test_nulls_in_what_is_not_needed_become_defaults() -> None:
    ticket = read_ticket(
        changed(
            ("data.streamingId", None),
            ("data.resource.sdk", None),
            (f"{SIGNALING}.expired_time", None),
            (f"{SIGNALING}.ice_servers", None),
        )
    )
    assert (ticket.streaming_id, ticket.expires_in_s, ticket.ice_servers) == (None, None, ())
    assert ticket.audio_ports == AudioPorts()


def test_a_port_whose_leaves_are_all_null_is_no_port() -> None:
    nothing = dict.fromkeys(["address", "aport", "atype", "address_ipv6"])
    assert read_ticket(changed(("data.resource.sdk.internal", nothing))).audio_ports.internal is None


def test_ice_servers_of_every_shape_are_passed_on_unchanged() -> None:
    servers = ["stun:a", {"uri": "turn:b", "usr": "u", "pwd": "p"}, {"urls": ["turn:c"], "username": None}]
    assert read_ticket(changed((f"{SIGNALING}.ice_servers", servers))).ice_servers == tuple(servers)


def test_unknown_fields_pass_at_every_level() -> None:
    levels = [path for path in ALL_PATHS if isinstance(value_at(path), dict)]
    assert len(levels) == 7
    assert read_ticket(changed(("new", [1]), *((f"{path}.new", {"x": [1]}) for path in levels))) == read_ticket(REPLY)


def value_at(path: str) -> object:
    value: Any = REPLY
    for name in path.split("."):
        value = value[name]
    return value


@pytest.mark.parametrize("path", NEEDED_PATHS)
@pytest.mark.parametrize("nothing", [None, "", "absent"])
def test_a_missing_needed_field_is_named_by_its_path(path: str, nothing: str | None) -> None:
    with pytest.raises(CloudReplyError) as caught:
        read_ticket(without(path) if nothing == "absent" else changed((path, nothing)))
    assert caught.value.path == path
    assert path in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize(("level", "path"), LEVELS_ABOVE.items())
def test_a_missing_level_names_the_field_that_is_needed_from_it(level: str, path: str) -> None:
    with pytest.raises(CloudReplyError) as caught:
        read_ticket(changed((level, None)))
    assert caught.value.path == path


@pytest.mark.parametrize("wrong", [True, [[1]], 7.5], ids=repr)
@pytest.mark.parametrize("path", [*NEEDED_PATHS, *LEVELS_ABOVE])
def test_a_wrong_type_of_what_is_needed_is_named_by_its_path(path: str, wrong: object) -> None:
    needed = LEVELS_ABOVE.get(path, path)
    with pytest.raises(CloudReplyError) as caught:
        read_ticket(changed((path, wrong)))
    assert caught.value.path == needed
    assert needed in str(caught.value)


OPTIONAL_PATHS = [path for path in ALL_PATHS if path.startswith("data.") and path not in {*NEEDED_PATHS, *LEVELS_ABOVE}]


valid_json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(OPTIONAL_PATHS), valid_json_values))
def test_no_optional_field_ever_ends_a_connection(changes: dict[str, object]) -> None:
    """The law: whatever stands in the optional fields, there is a ticket with all that is needed."""
    ticket = read_ticket(changed(*sorted(changes.items(), key=lambda change: -change[0].count("."))))
    assert (ticket.device_id, ticket.signaling_url) == ("device-1", "http://203.0.113.8:18082")
    assert ticket.device_token.reveal() == TOKEN
    assert all(problem.isprintable() for problem in ticket.problems)


@pytest.mark.parametrize("wrong", [True, [[1]], 7.5], ids=repr)
@pytest.mark.parametrize("path", [path for path in OPTIONAL_PATHS if path != "data.resource.kp_id"])  # it is not read
def test_an_optional_field_of_a_wrong_type_is_a_problem_that_names_its_path(path: str, wrong: Any) -> None:
    name = path.rpartition(".")[2]
    if (name in {"aport", "atype", "expired_time"} and wrong == 7.5) or (name == "ice_servers" and wrong == [[1]]):
        return  # a number; and a list, whose entries are judged one by one
    problems = read_ticket(changed((path, wrong))).problems
    assert len(problems) == 1
    assert f" {path} " in problems[0]


@pytest.mark.parametrize("wrong", ["ten", "NaN", "inf", "1e12", 10**40, "one hour"])
@pytest.mark.parametrize(
    "path", ["data.resource.sdk.internal.aport", "data.resource.sdk.external.atype", f"{SIGNALING}.expired_time"]
)
def test_an_unusable_number_is_a_problem(path: str, wrong: object) -> None:
    ticket = read_ticket(changed((path, wrong)))
    assert ticket == dataclasses.replace(read_ticket(changed((path, None))), problems=ticket.problems)
    assert [path in problem for problem in ticket.problems] == [True]


@pytest.mark.parametrize(
    ("servers", "expected"),
    [("", ()), ({}, ()), ("stun:a", ("stun:a",)), ({"uri": "turn:b"}, ({"uri": "turn:b"},)), (None, ())],
)
def test_ice_servers_outside_a_list_are_one_or_none(servers: object, expected: tuple[object, ...]) -> None:
    assert read_ticket(changed((f"{SIGNALING}.ice_servers", servers))).ice_servers == expected


@pytest.mark.parametrize("message", [{"en": "no"}, ["no"], 7, True])
@pytest.mark.parametrize("code", ["KOOPHONE.API.1012", "0"])
def test_a_message_of_another_form_changes_no_verdict(message: object, code: str) -> None:
    reply = changed(("error_code", code), ("error_msg", message))
    if code == "0":
        assert read_ticket(reply).device_id == "device-1"
    else:
        with pytest.raises(CloudRefusalError) as caught:
            read_ticket(reply)
        assert caught.value.error_code == code


@pytest.mark.parametrize(
    "url", ["http://[", "host", "ftp://host", "http://", "http://h:99999", "http://a..b", "http://a\nb", "h" * 5000]
)
def test_a_signaling_url_that_cannot_be_used_is_named_by_its_path(url: str) -> None:
    with pytest.raises(CloudReplyError) as caught:
        read_ticket(changed((f"{SIGNALING}.signaling_url", url)))
    assert caught.value.path == f"{SIGNALING}.signaling_url"


def test_a_signaling_url_shows_no_password() -> None:
    with pytest.raises(CloudReplyError) as caught:
        read_ticket(changed((f"{SIGNALING}.signaling_url", "ftp://user:hunter2@host/?token=hunter2")))
    assert "hunter2" not in str(caught.value)


def test_the_scheme_of_a_signaling_url_may_be_in_capitals() -> None:
    assert read_ticket(changed((f"{SIGNALING}.signaling_url", "HTTPS://host/x"))).signaling_url == "https://host/x"


def test_a_reply_that_is_not_an_object_has_no_path() -> None:
    with pytest.raises(CloudReplyError) as caught:
        parse_ticket(b"[]", "instance-1", status=200)
    assert caught.value.path is None
