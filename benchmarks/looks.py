"""What a consumer of few frames a second costs: `frames(max_fps=…)`, with and without units that are left out.

`python -m benchmarks.looks` sends clips of 720x1280 at 30 fps to a video output, in one process, as they would come.
*All* has every frame decoded, as `repeat=True` does. *Held* is what `max_fps` alone does. Times are CPU ms for a frame
that came.
"""

import asyncio
import fractions
import functools
import statistics
import time
from typing import Annotated, Final, NamedTuple

import av
import typer

from benchmarks.clips import access_units, clip_named
from benchmarks.report import Grid, console, print_grid
from streamer.media.access_unit import AccessUnit
from streamer.media.history import History
from streamer.media.playback.video import VideoOutput
from streamer.tracks import Codec

FPS: Final = 30
RATES: Final = (0.2, 1.0, 5.0)
LAYERS: Final = (
    "ts_number_layers=2:ts_target_bitrate=1000,2000:ts_rate_decimator=2,1:ts_periodicity=2:ts_layer_id=0,1"
    ":ts_layering_mode=2"
)


class Cost(NamedTuple):
    """What one run took for each frame that came, the share that was decoded, and how old frames were when taken."""

    cpu_ms: float
    decoded: float
    age_ms: float


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured; the medians are shown.")] = 3,
    seconds: Annotated[int, typer.Option(min=2, max=10, help="How long each run lasts.")] = 10,
) -> None:
    """Measure each stream and each rate, both sides in turn."""
    for name, units in (("H.264, a keyframe every 5 s", clip()), ("VP9, two temporal layers, one keyframe", layered())):
        rows = []
        for rate in RATES:
            found: dict[bool, list[Cost]] = {True: [], False: []}
            for _ in range(rounds):
                for is_all, costs in found.items():
                    costs.append(asyncio.run(watched(units[: FPS * seconds], rate, is_all=is_all)))
            everything, held = (Cost(*map(statistics.median, zip(*costs, strict=True))) for costs in found.values())
            rows.append(
                (
                    f"{rate:g} a second",
                    f"{everything.cpu_ms:.2f}",
                    f"{held.cpu_ms:.2f}",
                    f"{held.cpu_ms / everything.cpu_ms:.2f}",
                    f"{everything.decoded:.0%}",
                    f"{held.decoded:.0%}",
                    f"{everything.age_ms:.0f}",
                    f"{held.age_ms:.0f}",
                )
            )
        headings = (
            "frames",
            "all, ms",
            "held, ms",
            "ratio",
            "decoded, all",
            "held",
            "age of a frame, all, ms",
            "held, ms",
        )
        print_grid(Grid(name, headings, rows))
    console.print(f"medians of {rounds} rounds of {seconds} s; ages are medians of when a frame was taken")


async def watched(units: list[AccessUnit], rate: float, *, is_all: bool) -> Cost:
    """Send units at their pace to an output with one consumer."""
    history = History(ask_keyframe=lambda: None)
    output = VideoOutput("bench", history, request_keyframe=lambda: None, audio_port=lambda: None)
    ages: list[float] = []

    async def consume() -> None:
        frames = output.hub.iterate("latest", max_fps=rate, repeat=is_all)
        ages.extend([frame.age_s * 1e3 async for frame in frames if not frame.is_repeat])

    consumer = asyncio.ensure_future(consume())
    await asyncio.sleep(0)
    began, began_cpu = time.monotonic(), time.process_time()
    for number, unit in enumerate(units):
        await asyncio.sleep(began + number / FPS - time.monotonic())
        came = AccessUnit(
            kind=unit.kind,
            codec=unit.codec,
            data=unit.data,
            rtp_time=unit.rtp_time,
            ssrc=unit.ssrc,
            is_keyframe=unit.is_keyframe,
            discontinuity=unit.discontinuity,
            arrival_ns=time.monotonic_ns(),
        )
        history.put(came)
        output.put(came)
    cpu_ms = (time.process_time() - began_cpu) * 1e3 / len(units)
    decoded = output.counters.decoded / len(units)
    await output.aclose()
    await consumer
    return Cost(cpu_ms, decoded, statistics.median(ages))


def clip() -> list[AccessUnit]:
    """Return the clip of the other benchmarks."""
    return [
        _unit("h264", data, number, is_key) for number, (is_key, data) in enumerate(access_units(clip_named("720p30")))
    ]


@functools.cache
def layered() -> list[AccessUnit]:
    """Return the same pictures as VP9 with two temporal layers, of which nothing refers to the upper one."""
    decoder, encoder = av.CodecContext.create("h264", "r"), av.CodecContext.create("libvpx-vp9", "w")
    assert isinstance(decoder, av.VideoCodecContext)
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 720, 1280, "yuv420p"
    encoder.time_base, encoder.framerate = fractions.Fraction(1, FPS), fractions.Fraction(FPS)
    encoder.bit_rate, encoder.gop_size = 2_000_000, 10_000
    encoder.options = {
        "deadline": "realtime",
        "cpu-used": "8",
        "lag-in-frames": "0",
        "auto-alt-ref": "0",
        "error-resilient": "default",
        "ts-parameters": LAYERS,
    }
    packets = []
    for number, (_, data) in enumerate(access_units(clip_named("720p30"))):
        for frame in decoder.decode(av.Packet(data)):
            frame.pts, frame.time_base = number, fractions.Fraction(1, FPS)
            frame.pict_type = 0
            packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return [_unit("vp9", bytes(packet), number, number == 0) for number, packet in enumerate(packets)]


def _unit(codec: str, data: bytes, number: int, is_keyframe: bool) -> AccessUnit:
    return AccessUnit(
        kind="video",
        codec=Codec(name=codec, clock_rate=90_000),
        data=data,
        rtp_time=number * 90_000 // FPS,
        ssrc=1,
        is_keyframe=is_keyframe,
        discontinuity=False,
        arrival_ns=0,
    )


if __name__ == "__main__":
    typer.run(main)
