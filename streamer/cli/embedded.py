"""`streamer phone` and `demo`: the embedded phone, by itself and with a recording of it."""

import asyncio
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from rich.markup import escape
from rich.table import Table

import streamer
from streamer import errors
from streamer.cli import recording
from streamer.cli.display import half_blocks
from streamer.cli.output import err, out, writing_into
from streamer.cli.running import stop_on_signal


async def serve(host: str, port: int, size: tuple[int, int], fps: int, fault: list[str]) -> None:
    """Run the embedded phone until a signal comes, or list the faults that it knows."""
    from streamer import phone as embedded  # noqa: PLC0415 - draws with an extra

    if "list" in fault:
        table = Table("fault", "what the phone then does", box=None)
        for name, meaning in embedded.Faults.describe().items():
            table.add_row(name, meaning)
        out.print(table)
        return
    faults = embedded.Faults.parse(fault)
    token = os.environ.get("STREAMER_PHONE_TOKEN") or None
    async with (
        stop_on_signal() as stopped,
        embedded.serve(
            host=host, port=port, width=size[0], height=size[1], fps=fps, faults=faults, tenant_token=token
        ) as server,
    ):
        out.print("The embedded phone is running. In another terminal:\n")
        out.print(f"  export STREAMER_ENDPOINT={server.endpoint}", highlight=False)
        shown = server.tenant_token if token is None else "…  # that of STREAMER_PHONE_TOKEN"
        out.print(f"  export STREAMER_AUTH_TOKEN={shown}", highlight=False)
        out.print(f"  streamer record {server.instance_id} -o phone.mp4 --duration 10\n", highlight=False)
        out.print("Ctrl-C ends it.")
        await stopped.wait()


async def demo(output: Path, duration_s: float) -> None:
    """Record the embedded phone, and read its frame counter back from the file."""
    from streamer import phone as embedded  # noqa: PLC0415 - draws with an extra

    with writing_into(output.parent):
        output.parent.mkdir(parents=True, exist_ok=True)
    async with embedded.serve() as server:
        err.print(f"the embedded phone runs at {server.endpoint}, instance {server.instance_id}", highlight=False)
        await recording.into_file(
            lambda: streamer.connect(
                server.instance_id, endpoint=server.endpoint, credentials=streamer.Token(server.tenant_token)
            ),
            output,
            max_duration_s=duration_s,
        )
    counters, picture = await asyncio.to_thread(_read_back, output, embedded.read_barcode)
    gaps = sum(after - before - 1 for before, after in itertools.pairwise(counters))
    preview = output.with_suffix(".png")
    av.VideoFrame.from_ndarray(picture, format="rgb24").save(str(preview))  # a Path from PyAV 18.1 on alone
    if out.is_terminal:
        out.print(half_blocks(picture))
    out.print(
        f"read back from the file: {len(counters)} pictures, the phone's counter {counters[0]} to {counters[-1]}, "
        f"{'no gap' if gaps == 0 else f'{gaps} missing'}; the last one is in [bold]{escape(str(preview))}[/]",
        highlight=False,
    )
    if gaps:
        raise errors.RecordingError(f"{gaps} pictures are missing from {output}")


def _read_back(path: Path, read_barcode: Callable[[npt.NDArray[np.uint8]], Any]) -> tuple[list[int], Any]:
    """Decode a recording; return the phone's frame counter in each picture, and the last picture in RGB."""
    counters: list[int] = []
    frame = None
    with av.open(path) as container:
        for frame in container.decode(video=0):
            barcode = read_barcode(np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8))
            if barcode is None:
                raise errors.RecordingError(f"picture {len(counters)} of {path} has no readable counter")
            counters.append(barcode.counter)
    if frame is None:
        raise errors.RecordingError(f"{path} holds no picture")
    return counters, frame.to_ndarray(format="rgb24")
