"""The emulator as a process of its own: prints where it is, runs until its input ends.

Options of `streamer.emulator.serve` come as one JSON object in the first argument, its faults as an object in it. With
"path" among them, the options of `tests.support.relay`, the phone's media goes through a relay of its own. Lines of
input are commands. Each is answered: "rotate", "still", "wake", and with the option `note_sent` also "sent". The answer
to that is what was sent since the last such command: of each packet of a kind, when it was sent (monotonic seconds),
its time on the phone's clock (seconds), and its digest.
"""

import asyncio
import bisect
import contextlib
import json
import secrets
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import av

from streamer import emulator
from streamer.emulator.media import TRACK_LIMIT
from streamer.emulator.peer import PhonePeer
from tests.support.evidence import digest
from tests.support.processes import Child, listen, say

EVERY_ADDRESS: Final = "0.0.0.0"  # the relay takes an address of the machine's

Sent = dict[str, list[tuple[float, float, str]]]


def note_what_is_sent(phone: emulator.EmulatedPhone) -> Sent:
    """Return lists that get each packet that the phone hands to WebRTC. They grow: empty them now and again."""
    sent: Sent = {"video": [], "audio": []}
    newest = {kind: deque[float](maxlen=2 * TRACK_LIMIT) for kind in sent}  # no client is further behind another

    def note(kind: str, packet: "av.Packet[Any]") -> None:
        seconds = float((packet.pts or 0) * (packet.time_base or 0))
        if seconds not in newest[kind]:  # another client was not sent it already
            newest[kind].append(seconds)
            item = time.monotonic(), seconds, digest(kind, bytes(packet))
            bisect.insort(sent[kind], item, key=lambda item: item[1])  # it may have been sent the next one

    phone.media.on_sent = note
    return sent


async def main(
    *,
    note_sent: bool = False,
    path: dict[str, Any] | None = None,
    faults: dict[str, Any] | None = None,
    **options: Any,
) -> None:
    """Serve."""
    options["faults"] = emulator.Faults(**faults or {})
    if path:
        options |= {"host": EVERY_ADDRESS, "tenant_token": secrets.token_urlsafe()}
    with contextlib.ExitStack() as relays:
        async with emulator.serve(**options) as phone:
            if path:
                _put_relays_between(phone, path, relays)
            sent = note_what_is_sent(phone) if note_sent else {}
            commands = {"rotate": phone.rotate, "still": phone.go_still, "wake": phone.wake, "sent": sent.copy}
            say({"endpoint": phone.endpoint, "instance": phone.instance_id, "token": phone.tenant_token})
            while (command := await listen()) is not None:
                say(commands[command]())
                if command == "sent":
                    sent.update(video=[], audio=[])


def _put_relays_between(phone: emulator.EmulatedPhone, path: dict[str, Any], relays: contextlib.ExitStack) -> None:
    """Give every client of the phone a path of its own."""
    make_peer = phone.make_peer

    def make_distant_peer() -> PhonePeer:
        return _put_between(make_peer(), relays.enter_context(Child("tests.support.relay", json.dumps(path))))

    phone.make_peer = make_distant_peer  # type: ignore[method-assign]


def _put_between(peer: PhonePeer, relay: Child) -> PhonePeer:
    """Let a peer's client know the relay only, and the peer too."""
    offer, take_answer = peer.offer, peer.take_answer

    async def offer_relay() -> str:
        relay.tell({"offer": await offer()})
        return str((await asyncio.to_thread(relay.hear))["offer"])

    async def take_answer_of_relay(sdp: str) -> None:
        relay.tell({"answer": sdp})
        await take_answer((await asyncio.to_thread(relay.hear))["answer"])

    async def take_no_candidate(payload: dict[str, Any]) -> None:
        del payload

    shadows: dict[str, Callable[..., Any]] = {
        "offer": offer_relay,
        "take_answer": take_answer_of_relay,
        "take_candidate": take_no_candidate,
        "candidates": list,  # the relay's is in the offer
    }
    vars(peer).update(shadows)
    return peer


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1]) if sys.argv[1:] else {}))
