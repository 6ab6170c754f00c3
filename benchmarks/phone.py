"""The embedded phone as a process of its own: prints where it is, runs until its input ends.

Options of `streamer.phone.serve` come as one JSON object in the first argument. Lines of input are commands, of which
each is answered: "rotate", "still", "wake", and with the option `note_sent` also "sent". The answer to that is what was
sent since the last such command: of each packet of a kind, when it was sent (monotonic seconds), its time on the
phone's clock (seconds), and its digest.
"""

import asyncio
import json
import sys
import time
from typing import Any

import av

from benchmarks.evidence import digest
from benchmarks.processes import listen, say
from streamer import phone as embedded

Sent = dict[str, list[tuple[float, float, str]]]


def note_what_is_sent(phone: embedded.EmbeddedPhone) -> Sent:
    """Return lists that get each packet that the phone hands to WebRTC. They grow: empty them now and again."""
    sent: Sent = {"video": [], "audio": []}
    newest = {"video": -1.0, "audio": -1.0}

    def note(kind: str, packet: "av.Packet[Any]") -> None:
        seconds = float((packet.pts or 0) * (packet.time_base or 0))
        if seconds > newest[kind]:  # and not one that another client was sent already
            newest[kind] = seconds
            sent[kind].append((time.monotonic(), seconds, digest(kind, bytes(packet))))

    phone.media.on_sent = note
    return sent


async def main(*, note_sent: bool = False, **options: Any) -> None:
    """Serve."""
    async with embedded.serve(**options) as phone:
        sent = note_what_is_sent(phone) if note_sent else {}
        commands = {"rotate": phone.rotate, "still": phone.go_still, "wake": phone.wake, "sent": sent.copy}
        say({"endpoint": phone.endpoint, "instance": phone.instance_id, "token": phone.tenant_token})
        while (command := await listen()) is not None:
            say(commands[command]())
            if command == "sent":
                sent.update(video=[], audio=[])


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1]) if sys.argv[1:] else {}))
