"""`streamer info`: what the cloud says of a phone, without its secrets."""

import dataclasses

import streamer
from streamer.cli.connecting import endpoint_of, verify
from streamer.cli.display import duration, facts_table
from streamer.cli.options import Api
from streamer.cli.output import show_result, styled
from streamer.cloud.client import CloudClient
from streamer.rtc.ice import parse_ice_servers
from streamer.tls import check_verify
from streamer.untrusted_text import without_secrets


async def show(instance: str, api: Api, *, as_json: bool) -> None:
    """Ask the cloud, and print what it says as a table or as JSON."""
    credentials = streamer.credentials_from_environment()
    async with CloudClient(endpoint_of(api), credentials, verify=check_verify(verify(api))) as cloud:
        ticket = await cloud.fetch_ticket(instance)
    servers, problems = parse_ice_servers(ticket.ice_servers)
    facts = {
        "instance_id": ticket.instance_id,
        "device_id": ticket.device_id,
        "streaming_id": ticket.streaming_id,
        "signaling_url": without_secrets(ticket.signaling_url),
        "stream_may_last_s": ticket.expires_in_s,
        "audio_ports": dataclasses.asdict(ticket.audio_ports),
        "ice_servers": [str(server) for server in servers],
        "ice_server_problems": problems,
    }
    table = facts_table()
    for name in ("instance_id", "device_id", "streaming_id", "signaling_url"):
        table.add_row(name.replace("_", " "), str(facts[name] or "not given"))
    lifetime = "not given" if ticket.expires_in_s is None else duration(ticket.expires_in_s)
    table.add_row("stream may last", lifetime)
    for side in ("external", "internal"):
        audio_port = getattr(ticket.audio_ports, side)
        table.add_row(f"audio port, {side}", _describe(audio_port) if audio_port else "not given")
    for server in servers:
        table.add_row("ICE server", str(server))
    if not servers:
        table.add_row("ICE servers", "none: the phone has to be reachable directly")
    for problem in problems:
        table.add_row("ICE server", styled((problem, "yellow")))
    show_result(facts, table, as_json=as_json)


def _describe(audio_port: streamer.AudioPort) -> str:
    where = f"{audio_port.address or '?'}:{audio_port.port if audio_port.port is not None else '?'}"
    kind = "" if audio_port.type is None else f", type {audio_port.type}"
    ipv6 = f", {audio_port.address_ipv6}" if audio_port.address_ipv6 else ""
    return f"{where}{kind}{ipv6}"
