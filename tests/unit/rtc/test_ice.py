"""ICE servers as replies give them, and candidates, in every shape and in none."""

from collections.abc import Mapping
from typing import Any

import pytest
from aioice import Candidate
from hypothesis import given
from hypothesis import strategies as st

from streamer.rtc.ice import (
    CANDIDATES_LIMIT,
    SERVERS_LIMIT,
    IceServer,
    RemoteCandidates,
    parse_ice_servers,
    usable_candidate,
)


def one(entry: object) -> IceServer:
    (server,), problems = parse_ice_servers([entry])
    assert problems == []
    return server


@pytest.mark.parametrize(
    "entry",
    [
        {"uri": "turn:h.example:99?transport=tcp", "usr": "u", "pwd": "p"},
        {"url": "turn:h.example:99?transport=tcp", "username": "u", "credential": "p"},
        {"urls": "turn:h.example:99?transport=tcp", "username": "u", "credential": "p"},
        {"urls": ["turn:h.example:99?transport=tcp"], "username": "u", "credential": "p", "other": 1},
        {"urls": "TURN:h.example:99?transport=TCP ", "usr": "u", "credential": "p"},
    ],
)
def test_a_server_is_the_same_in_every_shape(entry: Mapping[str, object]) -> None:
    server = one(entry)
    assert (server.scheme, server.host, server.port, server.transport) == ("turn", "h.example", 99, "tcp")
    assert server.username == "u"
    assert server.password is not None
    assert server.password.reveal() == "p"
    assert "'p'" not in repr(server)


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("stun:h.example", "stun:h.example:3478?transport=udp"),
        ("stun:h.example?transport=udp", "stun:h.example:3478?transport=udp"),
        ("stuns:h.example", "stuns:h.example:5349?transport=tcp"),
        ("turn:192.0.2.1:1", "turn:192.0.2.1:1?transport=udp"),
        ("turns:h.example:443?transport=tcp", "turns:h.example:443?transport=tcp"),
        ("turn:[2001:db8::1]:65535", "turn:[2001:db8::1]:65535?transport=udp"),
    ],
)
def test_a_url_has_the_defaults_of_rfc_7064_and_rfc_7065(url: str, meant: str) -> None:
    assert str(one(url)) == meant


@pytest.mark.parametrize(
    "url",
    [
        "",
        "stun:",
        "h.example:3478",
        "http://h.example",
        "stun:h:0",
        "turn:]",
        "turn:[",
        "stun:h:65536",
        "stun:h:1234567",
        "turn:h?transport=x",
    ],
)
def test_an_invalid_url_is_reported_in_a_sentence(url: str) -> None:
    servers, (problem,) = parse_ice_servers([url])
    assert servers == []
    assert problem.startswith("expected ")


def test_each_server_is_listed_once_and_urls_share_their_credentials() -> None:
    servers, problems = parse_ice_servers(
        [{"urls": ["stun:a", "turn:a", 7, "stun:a:3478"], "username": "u", "credential": "p"}, "stun:a", "stun:a"]
    )
    assert [(server.scheme, server.username) for server in servers] == [("stun", "u"), ("turn", "u"), ("stun", None)]
    assert problems == []


def test_servers_and_invalid_entries_have_a_limit() -> None:
    servers, problems = parse_ice_servers([f"stun:h{number}" for number in range(SERVERS_LIMIT)])
    assert (len(servers), problems) == (SERVERS_LIMIT, [])
    servers, (problem,) = parse_ice_servers([f"stun:h{number}" for number in range(100_000)])
    assert len(servers) == SERVERS_LIMIT
    assert problem == "expected at most 32 ICE servers, got more: the others are not asked"
    servers, problems = parse_ice_servers([{"urls": ["stun:h"] * 33}, *[None] * 100_000])
    assert (servers, len(problems)) == ([], 1)
    assert len(parse_ice_servers([None] * 100_000)[1]) == SERVERS_LIMIT + 1


def test_a_connection_limits_different_candidates_and_takes_known_ones_again() -> None:
    candidates = RemoteCandidates()
    lines = [f"1 1 udp 1 192.0.2.1 {port} typ host" for port in range(1, CANDIDATES_LIMIT + 2)]
    assert not candidates.takes("1 1 tcp 1 192.0.2.1 9 typ host")
    assert [candidates.takes(line) for line in lines] == [True] * CANDIDATES_LIMIT + [False]
    assert candidates.takes(lines[0])


def test_a_password_in_an_invalid_url_is_not_shown() -> None:
    _, problems = parse_ice_servers(
        [
            "http://user:hunter2@h.example",
            {"uri": "turn:u:hunter2@h.example", "pwd": "hunter2"},
            "turn:h.example?username=u&credential=hunter2",
        ]
    )
    assert len(problems) == 3
    assert "hunter2" not in "".join(problems)


json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("stun:h"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["urls", "url", "uri", "username", "usr", "credential", "pwd"]), inner)
    ),
    max_leaves=12,
)


@given(st.lists(json | st.from_regex(r"\A(stun|turns?):[^\s]{0,9}(:\d{1,6})?(\?transport=[a-z]{3})?\Z"), max_size=6))
def test_any_list_gives_servers_and_sentences(entries: list[Any]) -> None:
    """The law: for any JSON, nothing is raised; each server can be dialled; each entry without one has a sentence."""
    servers, problems = parse_ice_servers(entries)
    for server in servers:
        assert server.host
        assert 0 < server.port < 65_536
        assert server.transport in {"udp", "tcp"}
        assert server.scheme in {"stun", "stuns", "turn", "turns"}
    assert all(problem.startswith("expected ") for problem in problems)
    assert len(servers) + len(problems) > 0 or not entries


@pytest.mark.parametrize(
    ("line", "is_usable"),
    [
        ("candidate:1 1 udp 2130706431 192.0.2.2 5000 typ host", True),
        ("candidate:1 1 UDP 2130706431 2001:db8::1 5000 typ host generation 0 ufrag x", True),
        ("candidate:1 1 udp 1 192.0.2.2 5000 typ srflx raddr 10.0.0.1 rport 9", True),
        ("candidate:1 1 tcp 1518280447 192.0.2.2 9 typ host tcptype active", False),
        ("candidate:1 1 udp 1 1b5ea2b8-9d2f-4f1e-b7a2-2d1f.local 5000 typ host", False),
        ("candidate:1 1 udp 1 phone.example 5000 typ host", False),
        ("candidate:1 1 udp 1 192.0.2.256 5000 typ host", False),
        ("candidate:1 1 udp 1 192.0.2.2 65536 typ host", False),
        ("candidate:1 1 udp 1 192.0.2.2 x typ host", False),
        ("candidate:1 1 udp x 192.0.2.2 5000 typ host", False),
        ("candidate:1 1 udp 1 192.0.2.2 5000 typ", False),
        ("", False),
    ],
)
def test_only_candidates_that_can_be_paired_are_usable(line: str, is_usable: bool) -> None:
    assert usable_candidate(line) == is_usable


words = st.sampled_from(
    [
        "candidate:1",
        "1",
        "udp",
        "2130706431",
        "192.0.2.2",
        "5000",
        "typ",
        "host",
        "::1",
        "x",
        "-1",
        "70000",
        "\u00b2",
        "raddr",
    ]
)
like_candidates = st.lists(words, min_size=8, max_size=12) | st.tuples(
    st.just("candidate:1"),
    st.sampled_from(["1", "x", "\u00b2"]),
    st.sampled_from(["udp", "UDP", "tcp"]),
    st.sampled_from(["1", "x", "-1", "9" * 5000]),
    st.sampled_from(["192.0.2.2", "::1", "fe80::1%eth0", "h.example", "h.local", "1.2.3", "\u0661.1.1.1"]),
    st.sampled_from(["9", "0", "-1", "65536", "x", "9" * 5000]),
    st.just("typ"),
    st.sampled_from(["host", "srflx", "relay", "x"]),
).map(list)


@given(like_candidates.map(" ".join) | st.text(max_size=100))
def test_a_usable_candidate_can_be_read_and_paired(line: str) -> None:
    """The law: for any text, the answer comes without an error, and aioice can read and pair what is usable."""
    if usable_candidate(line):
        candidate = Candidate.from_sdp(line)
        local = Candidate.from_sdp("candidate:1 1 udp 1 192.0.2.9 5000 typ host")
        local.can_pair_with(candidate)
        assert 0 < candidate.port < 65_536
