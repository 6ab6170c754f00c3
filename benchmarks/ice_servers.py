"""STUN and TURN servers that do not answer: what they add to the time that the answer takes."""

import contextlib
import json
import re
import socket
import statistics
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.clips import CLIPS
from benchmarks.report import Goal, Grid, Report
from tests.support.processes import Child

ADDED_GOAL_MS: Final = 50.0
ANSWERS: Final = 10
RIVAL_ANSWERS: Final = 1  # of five seconds each


def measure(rounds: int) -> Iterator[str | Report]:
    """Let each answer one offer, with such servers and without, in turn."""
    seconds: dict[str, dict[str, list[float]]] = {}
    with Child("benchmarks.sender", json.dumps({"clip": CLIPS[0].name})) as sender, contextlib.ExitStack() as stack:
        offer = sender.hear()
        host = re.findall(r"^a=candidate:\S+ \d+ udp \d+ ([\d.]+) ", offer["offer"], re.MULTILINE)[0]
        servers = _silent_servers(stack, host)
        for number in range(rounds):
            for rival, answers in (("streamer", ANSWERS), ("aiortc", RIVAL_ANSWERS)):
                yield f"{rival}, round {number + 1} of {rounds}"
                options = {"rival": rival, "ice_servers": servers, "rounds": answers}
                with Child("benchmarks.receiver", "answering", json.dumps(options)) as receiver:
                    receiver.tell(offer)
                    for name, values in receiver.hear().items():
                        seconds.setdefault(rival, {}).setdefault(name, []).extend(values)
    medians = {
        rival: {name: 1000 * statistics.median(values) for name, values in found.items()}
        for rival, found in seconds.items()
    }
    added = {rival: found["with"] - found["without"] for rival, found in medians.items()}
    goal = Goal(
        measure="STUN and TURN servers that do not answer: added to the answer",
        ours=f"{added['streamer']:.1f} ms",
        beside=f"aiortc {added['aiortc']:.0f} ms",
        goal=f"≤ {ADDED_GOAL_MS:.0f} ms",
        is_met=added["streamer"] <= ADDED_GOAL_MS,
    )
    rows = [
        (rival, f"{found['without']:.1f}", f"{found['with']:.1f}", f"{added[rival]:.1f}")
        for rival, found in medians.items()
    ]
    title = "The answer, with one STUN and three TURN servers that do not answer"
    yield Report([goal], [Grid(title, ("", "without, ms", "with, ms", "added, ms"), rows)])


def _silent_servers(stack: contextlib.ExitStack, host: str) -> list[dict[str, Any]]:
    """Return entries of servers that take what comes and say nothing, and one whose name is nobody's."""
    udp, tcp = (
        stack.enter_context(socket.socket(socket.AF_INET, kind)) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)
    )
    for bound in (udp, tcp):
        bound.bind((host, 0))
    tcp.listen()
    login = {"username": "user", "credential": "password"}
    return [
        {"urls": f"stun:{host}:{udp.getsockname()[1]}"},
        {"urls": f"turn:{host}:{udp.getsockname()[1]}?transport=udp", **login},
        {"urls": f"turn:{host}:{tcp.getsockname()[1]}?transport=tcp", **login},
        {"urls": "turn:nowhere.invalid:3478?transport=udp", **login},
    ]
