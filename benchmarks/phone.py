"""The embedded phone as a process of its own: prints where it is, runs until its input ends.

Options of `streamer.phone.serve` come as one JSON object in the first argument.
"""

import asyncio
import json
import sys
from typing import Any

from benchmarks.processes import listen, say
from streamer import phone as embedded


async def main(options: dict[str, Any]) -> None:
    """Serve."""
    async with embedded.serve(**options) as phone:
        say({"endpoint": phone.endpoint, "instance": phone.instance_id, "token": phone.tenant_token})
        while await listen() is not None:
            pass


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]) if sys.argv[1:] else {}))
