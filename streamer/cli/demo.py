"""`streamer phone` and `demo`: the emulator, by itself and with a recording of it."""

import asyncio
import functools
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from rich.table import Table

import streamer
from streamer import errors
from streamer.atomic_file import check_writable
from streamer.cli import recording
from streamer.cli.display import half_blocks
from streamer.cli.options import Output
from streamer.cli.output import escaped, notes, out, show_result, styled, writing_into
from streamer.cli.runtime import stop_on_signal
from streamer.media.recording.recording import check_target
from streamer.proxies import is_loopback

PORT: Final = 8470  # of the auth API, unless it is taken
TOKEN: Final = "demo-token"  # noqa: S105 - on loopback alone, where there is nothing to protect


async def serve(
    host: str,
    port: int | None,
    *,
    count: int,
    size: tuple[int, int],
    fps: int,
    screen: str,
    fault: list[str],
    as_json: bool,
) -> None:
    """Run emulators until a signal comes, or list the faults that they know."""
    from streamer import emulator  # noqa: PLC0415 - draws with an extra

    if "list" in fault:
        known = emulator.Faults.describe()
        table = Table("fault", "what the phone then does", box=None)
        for name, meaning in known.items():
            table.add_row(name, meaning)
        show_result(known, table, as_json=as_json)
        return
    given = os.environ.get("STREAMER_PHONE_TOKEN") or None
    async with (
        stop_on_signal() as stopped,
        emulator.serve_fleet(
            count,
            host=host,
            ports=(PORT, 0) if port is None else (port,),
            width=size[0],
            height=size[1],
            fps=fps,
            screen=screen,
            faults=emulator.Faults.parse(fault),
            tenant_token=given or (TOKEN if is_loopback(host) else None),
        ) as fleet,
    ):
        for phone in fleet.phones:
            phone.on_client = functools.partial(_tell, phone.instance_id)
        names = [phone.instance_id for phone in fleet.phones]
        facts = {
            "endpoint": fleet.endpoint,
            "auth_token": fleet.tenant_token if given is None else None,
            "instances": names,
        }
        is_moved = port is None and not fleet.endpoint.endswith(f":{PORT}")
        are = "emulator is" if count == 1 else f"{count} emulators are"
        last = "" if count == 1 else f"    # … {names[-1]}"
        words = [
            *([f"Port {PORT} is taken, perhaps by another emulator.", ""] if is_moved else []),
            f"The {are} running. In another terminal:",
            "",
            f"  export STREAMER_ENDPOINT={fleet.endpoint}",
            f"  export STREAMER_AUTH_TOKEN={TOKEN if given is None else '…    # that of STREAMER_PHONE_TOKEN'}",
            f"  streamer record {names[0]} -o phone.mp4 --duration 10s{last}",
            "",
            f"Ctrl-C ends {'it' if count == 1 else 'them'}.",
        ]
        show_result(facts, "\n".join(words), as_json=as_json)
        await stopped.wait()


def _tell(instance: str, what: str) -> None:
    notes.print(styled(f"{time.strftime('%H:%M:%S')}  {instance}: {what}"))


async def demo(output: Path, duration_s: float, *, say: Output, overwrite: bool) -> None:
    """Record the emulator, and read its frame counter back from the file."""
    from streamer import emulator  # noqa: PLC0415 - draws with an extra

    preview = output.with_suffix(".png")
    with writing_into(output.parent):
        output.parent.mkdir(parents=True, exist_ok=True)
    check_target(output, overwrite=overwrite)
    check_writable(preview, overwrite=overwrite)
    async with emulator.serve() as server:
        notes.print(f"the emulator runs at {server.endpoint}, instance {server.instance_id}")
        facts, words = await recording.into(
            lambda: streamer.connect(
                server.instance_id, endpoint=server.endpoint, credentials=streamer.Token(server.tenant_token)
            ),
            output,
            output,
            say=say,
            overwrite=overwrite,
            max_duration_s=duration_s,
        )
    counters, frame = await asyncio.to_thread(_read_back, output, emulator.read_barcode)
    gaps = sum(after - before - 1 for before, after in itertools.pairwise(counters))
    av.VideoFrame.from_ndarray(frame, format="rgb24").save(str(preview))  # a Path from PyAV 18.1 on alone
    if out.is_terminal and not say.as_json:
        out.print(half_blocks(frame))
    words.append(
        f"\nread back from the file: {len(counters)} frames, the phone's counter {counters[0]} to {counters[-1]}, "
        f"{'no gap' if gaps == 0 else f'{gaps} missing'}; the last one is in {escaped(str(preview))}"
    )
    show_result(facts | {"missing": gaps, "preview": str(preview)}, words, as_json=say.as_json)
    if gaps:
        raise errors.RecordingError(f"expected every frame in {output}, got all but {gaps}")


def _read_back(path: Path, read_barcode: Callable[[npt.NDArray[np.uint8]], Any]) -> tuple[list[int], Any]:
    """Decode a recording; return the phone's frame counter in each frame, and the last frame in RGB."""
    counters: list[int] = []
    frame = None
    with av.open(path) as container:
        for frame in container.decode(video=0):
            barcode = read_barcode(np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8))
            if barcode is None:
                raise errors.RecordingError(f"frame {len(counters)} of {path} has no readable counter")
            counters.append(barcode.counter)
    if frame is None:
        raise errors.RecordingError(f"expected frames in {path}, got none")
    return counters, frame.to_ndarray(format="rgb24")
