"""A lossy path as a process of its own: UDP between two WebRTC peers, with loss, delay and jitter from a seed.

argv: {"loss", "delay_ms", "jitter_ms", "seed"}. It reads the offer and prints it with itself in place of the sender,
then the answer, and prints that with itself in place of the receiver. SRTP and SRTCP are lost and delayed, both ways
alike; what belongs to the handshake is only delayed. It ends with its input.
"""

import heapq
import itertools
import json
import random
import re
import selectors
import socket
import sys
import time
from typing import Any, Final

from tests.support.processes import say

DELAY_MS: Final = 30
JITTER_MS: Final = 5

_CANDIDATE: Final = re.compile(r"^a=candidate:\S+ \d+ udp \d+ (?P<host>[\d.]+) (?P<port>\d+) typ host.*$", re.MULTILINE)
_BUFFER: Final = 4 * 1024 * 1024

Address = tuple[str, int]


class Side:
    """The relay's socket that faces one peer, under an address of the machine's."""

    def __init__(self, description: str) -> None:
        match = next(match for match in _CANDIDATE.finditer(description) if not match["host"].startswith("127."))
        self.peer: Address = (match["host"], int(match["port"]))
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self.socket.setblocking(False)
        self.socket.bind((match["host"], 0))


def through(description: str, side: Side) -> str:
    """Return a description whose only candidate is the relay."""
    host, port = side.socket.getsockname()
    lines = [line for line in description.splitlines() if not line.startswith("a=candidate:")]
    candidate = f"a=candidate:relay 1 udp 2130706431 {host} {port} typ host"
    return "".join(f"{line}\r\n" + (f"{candidate}\r\n" if line.startswith("a=mid:") else "") for line in lines)


def forward(sides: tuple[Side, Side], *, loss: float, delay_ms: float, jitter_ms: float, seed: int) -> None:
    """Forward until the input ends."""
    rng = random.Random(seed)
    order = itertools.count()
    under_way: list[tuple[float, int, bytes, Side]] = []
    selector = selectors.DefaultSelector()
    for index, side in enumerate(sides):
        selector.register(side.socket, selectors.EVENT_READ, index)
    selector.register(sys.stdin, selectors.EVENT_READ, None)
    while True:
        timeout = max(under_way[0][0] - time.monotonic(), 0) if under_way else None
        for key, _ in selector.select(timeout):
            if key.data is None:
                return
            try:
                while True:
                    datagram, address = sides[key.data].socket.recvfrom(2048)
                    sides[key.data].peer = address
                    is_media = 127 < datagram[0] < 192
                    if not is_media or rng.random() >= loss:
                        due = time.monotonic() + (delay_ms + rng.uniform(-jitter_ms, jitter_ms)) / 1000
                        heapq.heappush(under_way, (due, next(order), datagram, sides[1 - key.data]))
            except BlockingIOError:
                pass
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, datagram, side = heapq.heappop(under_way)
            side.socket.sendto(datagram, side.peer)


def main(options: dict[str, Any]) -> None:
    """Introduce the two peers to each other and forward between them."""
    offer = json.loads(sys.stdin.readline())["offer"]
    to_sender = Side(offer)
    # The receiver is known only by its answer: until then its side is bound beside the sender's.
    to_receiver = Side(offer)
    say({"offer": through(offer, to_receiver)})
    answer = json.loads(sys.stdin.readline())["answer"]
    say({"answer": through(answer, to_sender)})
    forward((to_sender, to_receiver), **options)


def relay_path(loss: float) -> dict[str, float]:
    """Return the options of a relay that loses so many percent of the packets."""
    return {"loss": loss / 100, "delay_ms": DELAY_MS, "jitter_ms": JITTER_MS, "seed": 1}


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
