"""`python -m benchmarks.agent`: what an agent's look at a still screen of 720x1280 costs in CPU time, and decodes.

The tool is called by itself, and through the client and the server of the MCP SDK, in one process with the emulator.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import typer
from mcp import Client

import streamer
from benchmarks.report import Grid, console, print_grid
from streamer import emulator
from streamer.agent.files import Files
from streamer.agent.link import PhoneLink
from streamer.agent.serving import server_of
from streamer.agent.tools import Tools

GOAL_MS: Final = 20.0


def main(calls: Annotated[int, typer.Option(min=10, help="How often each way is called.")] = 200) -> None:
    """Measure both ways."""
    rows = asyncio.run(_measure(calls))
    head = ("look", "CPU, p50", "CPU, p99", "frames decoded")
    print_grid(Grid(f"{calls} looks at a still screen", head, rows))
    console.print(f"the goal is at most {GOAL_MS:g} ms, and nothing decoded")


async def _measure(calls: int) -> list[tuple[str, ...]]:
    async with emulator.serve(audio=False, screen="apps") as phone:
        link = PhoneLink(
            lambda: streamer.connect(phone.instance_id, endpoint=phone.endpoint, credentials=phone.tenant_token)
        )
        tools = Tools(link.session, Files())
        try:
            await tools.call("wait_for", {"what": "still"})
            await tools.call("look", {})
            session = await link.session()

            async def row(name: str, look: Callable[[], Awaitable[object]]) -> tuple[str, ...]:
                decoded, spent = session.stats().frames_decoded, []
                for _ in range(calls):
                    begun_s = time.process_time()
                    await look()
                    spent.append((time.process_time() - begun_s) * 1e3)
                spent.sort()
                p50, p99 = spent[calls // 2], spent[calls * 99 // 100]
                return name, f"{p50:.2f} ms", f"{p99:.2f} ms", str(session.stats().frames_decoded - decoded)

            rows = [await row("the tool", lambda: tools.call("look", {}))]
            async with Client(server_of(tools, streamer.__version__)) as client:
                rows.append(await row("through the MCP SDK", lambda: client.call_tool("look", {})))
            return rows
        finally:
            await link.aclose()


if __name__ == "__main__":
    typer.run(main)
