"""`streamer view`: phones in the browser, until Ctrl-C or the end of all sessions."""

import asyncio
import contextlib
import webbrowser
from typing import Final

from streamer.cli.connecting import connected, later
from streamer.cli.options import Connection, Output
from streamer.cli.output import note, show_result
from streamer.cli.runtime import stop_on_signal
from streamer.proxies import is_loopback
from streamer.viewer import view
from streamer.viewer.embedding import read_origins

SAVED_S: Final = 30.0  # that the page can save


async def show(
    instances: list[str],
    connection: Connection,
    *,
    opens: bool,
    host: str,
    port: int,
    read_only: bool,
    embed_from: list[str],
    say: Output,
) -> None:
    """Connect to the phones and serve the page."""
    origins = read_origins(embed_from)  # which tells a wrong one before a phone is taken
    async with contextlib.AsyncExitStack() as stack:
        connecting = [later(instance, connection, preroll_s=SAVED_S) for instance in dict.fromkeys(instances)]
        phones = [await stack.enter_async_context(connected(connect())) for connect in connecting]
        viewer = await stack.enter_async_context(
            view(*phones, host=host, port=port, read_only=read_only, embed_from=origins)
        )
        stopped = await stack.enter_async_context(stop_on_signal())
        if not is_loopback(host):
            does = "see the phone" if read_only else "see the phone and touch it"
            note(f"whoever reaches port {viewer.port} of this machine and has the token behind # can {does}", "yellow")
        show_result({"url": viewer.url}, f"{viewer.url}\n\nCtrl-C ends it.", as_json=say.as_json)
        if opens:
            await asyncio.to_thread(webbrowser.open, viewer.url)
        ended, told = asyncio.create_task(viewer.wait_ended()), asyncio.create_task(stopped.wait())
        try:
            await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()
        finally:
            for task in (ended, told):
                task.cancel()
            await asyncio.wait({ended, told})
