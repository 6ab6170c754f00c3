"""`streamer info`: what the cloud says of a phone, without its secrets."""

import dataclasses
import json
from pathlib import Path

from rich.text import Text

import streamer
from streamer.cli.connecting import check_endpoint
from streamer.cli.display import facts_table
from streamer.cli.output import out
from streamer.cloud.client import CloudClient
from streamer.cloud.http import trust_of
from streamer.rtc.ice import parse_ice_servers


async def show(instance: str, endpoint: str | None, *, verify: bool | Path, as_json: bool) -> None:
    """Ask the cloud, and print what it says as a table or as JSON."""
    credentials = streamer.credentials_from_environment()
    async with CloudClient(check_endpoint(endpoint), credentials, verify=trust_of(verify)) as cloud:
        ticket = await cloud.fetch_ticket(instance)
    servers, problems = parse_ice_servers(ticket.ice_servers)
    facts = {
        "instance_id": ticket.instance_id,
        "device_id": ticket.device_id,
        "streaming_id": ticket.streaming_id,
        "signaling_url": ticket.signaling_url,
        "stream_may_last_s": ticket.expires_in_s,
        "audio_ports": dataclasses.asdict(ticket.audio_ports),
        "ice_servers": [str(server) for server in servers],
        "ice_server_problems": problems,
    }
    if as_json:
        out.print_json(json.dumps(facts))
        return
    table = facts_table()
    for name in ("instance_id", "device_id", "streaming_id", "signaling_url"):
        table.add_row(name.replace("_", " "), str(facts[name] or "not given"))
    lifetime = "not given" if ticket.expires_in_s is None else f"{ticket.expires_in_s:g} s"
    table.add_row("stream may last", lifetime)
    for side in ("external", "internal"):
        audio_port = getattr(ticket.audio_ports, side)
        table.add_row(f"audio port, {side}", _describe(audio_port) if audio_port else "not given")
    table.add_row("ICE servers", "\n".join(map(str, servers)) or "none: host candidates have to do")
    for problem in problems:
        table.add_row("ICE servers", Text(problem, style="yellow"))
    out.print(table)


def _describe(audio_port: streamer.AudioPort) -> str:
    where = f"{audio_port.address or '?'}:{audio_port.port if audio_port.port is not None else '?'}"
    kind = "" if audio_port.type is None else f", type {audio_port.type}"
    ipv6 = f", {audio_port.address_ipv6}" if audio_port.address_ipv6 else ""
    return f"{where}{kind}{ipv6}"
