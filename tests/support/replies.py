"""The reply to auth as the vendor documents it, and changes to it."""

import copy
import json
from typing import Any

from streamer.cloud.models import Ticket, check_reply, parse_ticket

TOKEN = "device-token-5c1e"  # looked for in everything that is shown
REPLY: dict[str, Any] = {
    "data": {
        "device_token": TOKEN,
        "streamingId": "stream-1",
        "resource": {
            "device_id": "device-1",
            "kp_id": "kp-1",
            "sdk": {
                "internal": {"address": "192.168.0.9", "aport": "10020", "atype": "2", "address_ipv6": "fd00::9"},
                "external": {"address": "203.0.113.7", "aport": 10030, "atype": 1, "address_ipv6": None},
            },
            "rtc": {
                "ice_signaling": {
                    "signaling_url": "http://203.0.113.8:18082",
                    "expired_time": "3600",
                    "ice_servers": ["stun:203.0.113.9:3478"],
                }
            },
        },
    },
    "error_code": "0",
    "error_msg": "success",
}
SIGNALING = "data.resource.rtc.ice_signaling"


def changed(*changes: tuple[str, Any]) -> dict[str, Any]:
    """Return the documented reply with the values at some paths replaced."""
    reply = copy.deepcopy(REPLY)
    for path, value in changes:
        *above, last = path.split(".")
        level = reply
        for name in above:
            level = level[name]
        level[last] = value
    return reply


def read_ticket(reply: object, *, status: int = 200) -> Ticket:
    body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    check_reply(body, status=status, request_id="request-1")
    return parse_ticket(body, "instance-1", status=status)
