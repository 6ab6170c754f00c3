"""The command line: `streamer record | frames | screenshot | clip | audio | info | phone | demo`."""

import asyncio
import contextlib
import dataclasses
import itertools
import json
import logging
import math
import os
import signal
import sys
import tempfile
import time
import wave
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import IO, Annotated, Any, Final, Literal

import av
import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text

import streamer
from streamer import errors
from streamer.cloud.client import CloudClient
from streamer.cloud.http import trust_of
from streamer.media.audio import RATES, AudioFrame, AudioIterator, Layout
from streamer.media.clips import FPS, FPS_LIMIT, WIDTH
from streamer.media.images import image_format_of
from streamer.media.mux import check_target
from streamer.media.whole import check_whole, unwritable, write_whole
from streamer.rtc.ice import parse_ice_servers

EXIT_CODES: Final = (
    (errors.ConfigurationError, 2),
    (errors.CloudError, 3),
    (errors.SignalingError, 4),
    (errors.ConnectionFailedError, 5),
    (errors.ConnectionLostError, 5),
    (errors.RecordingError, 6),
    (errors.StreamerError, 1),
)
_CHANNELS: Final[dict[Layout, int]] = {"mono": 1, "stereo": 2}
_WAV_LIMIT: Final = 0xFFFFFFFF - 36  # bytes of samples: its sizes are numbers of 32 bits
_SOUND_LATE_S: Final = 1.0
_METER: Final = 20  # characters
EPILOG: Final = (
    "Exit codes: 0 done; 1 another error; 2 wrong arguments or settings; 3 the cloud API failed or refused; "
    "4 signaling failed; 5 the WebRTC connection failed or was lost; 6 the recording could not be written; "
    "130 interrupted at once, by Ctrl-C or SIGTERM."
)

app = typer.Typer(
    help="A Huawei KooPhone cloud phone's screen: record it, save its pictures, see what the cloud says of it.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
out = Console()
err = Console(stderr=True)

Instance = Annotated[str, typer.Argument(help="The phone's instance id.", metavar="INSTANCE", show_default=False)]
Endpoint = Annotated[
    str | None,
    typer.Option(
        help="The API's base URL, such as https://koophone.myhuaweicloud.com; it may carry a path.",
        envvar="STREAMER_ENDPOINT",
        show_default=False,
    ),
]
RelayOnly = Annotated[bool, typer.Option("--relay-only", help="Stream through TURN servers alone.")]
Authority = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        help="Trust the authorities in this PEM file, and no others: the API, signaling and TURN over TLS.",
        metavar="FILE",
        show_default=False,
    ),
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Do not verify TLS certificates.")]
ShowStats = Annotated[
    bool, typer.Option("--stats", help="Print at the end what came, what was lost and asked for, how long it took.")
]
Reconnecting = Annotated[
    bool, typer.Option("--reconnect/--no-reconnect", help="Go on with a new connection when one is lost.")
]
GiveUpAfter = Annotated[
    float, typer.Option(help="Seconds after which a connection that was lost is given up; 0 never does.", min=0)
]
PrepareFor = Annotated[
    str | None,
    typer.Option(help="Have the instance brought up first, for this user id of the tenant's own.", show_default=False),
]
Release = Annotated[bool, typer.Option("--release", help="Give the instance back at the end, whatever happened.")]
Debug = Annotated[bool, typer.Option("--debug", help="Log every step to the error output; no secret is among it.")]


@app.command(epilog=EPILOG)
def record(
    instance: Instance,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The file: .mp4, .mkv, .webm or .ts; for several a pattern such as 'clip-{:04d}.mp4' or "
            "'{start:%H%M%S}.mp4'; '-' writes MPEG-TS to the standard output.",
        ),
    ] = Path("phone.mp4"),
    duration: Annotated[
        float | None, typer.Option(help="Seconds to record; without it, until Ctrl-C.", min=0.1)
    ] = None,
    max_mb: Annotated[float | None, typer.Option(help="End before the recording is larger.", min=0.1)] = None,
    segment_seconds: Annotated[
        float | None, typer.Option(help="Begin another file after so long, with a keyframe.", min=1)
    ] = None,
    segment_mb: Annotated[
        float | None, typer.Option(help="Begin another file when one is so large, with a keyframe.", min=0.1)
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Add a JSON line for each finished file to this one.", show_default=False)
    ] = None,
    codec: Annotated[
        Literal["h264", "h265", "vp9", "av1"] | None, typer.Option(help="Encode anew, into this.", show_default=False)
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Encode anew, at this constant rate.", min=0.1, max=120, show_default=False)
    ] = None,
    height: Annotated[
        int | None, typer.Option(help="Encode anew, scaled to so many pixels.", min=16, show_default=False)
    ] = None,
    burn_time: Annotated[bool, typer.Option("--burn-time", help="Encode anew, with the time on each picture.")] = False,
    reconnect: Reconnecting = True,
    give_up_after: GiveUpAfter = 600.0,
    prepare_for: PrepareFor = None,
    release: Release = False,
    stats: ShowStats = False,
    endpoint: Endpoint = None,
    relay_only: RelayOnly = False,
    ca: Authority = None,
    insecure: Insecure = False,
    debug: Debug = False,
) -> None:
    """Record a phone's screen and sound into a file, as they come; nothing is encoded again unless you ask for it."""
    _configure_logging(debug)
    options: dict[str, Any] = {
        "max_duration_s": duration,
        "max_bytes": _bytes(max_mb),
        "segment_s": segment_seconds,
        "segment_bytes": _bytes(segment_mb),
        "manifest": manifest,
    }
    changes = {"codec": codec, "fps": fps, "height": height, "timestamps": burn_time or None}
    connect = _connect(
        instance,
        endpoint,
        verify=_verify(ca, insecure),
        relay_only=relay_only,
        reconnect=_reconnect(reconnect, give_up_after),
        prepare_for=prepare_for,
        release=release,
    )
    record = _record_into_pipe if str(output) == "-" else _record
    _run(record(connect, output, show_stats=stats, changes=changes, **options))


@app.command(epilog=EPILOG)
def frames(
    instance: Instance,
    output: Annotated[Path, typer.Option("--output", "-o", help="The directory to write into.")] = Path("frames"),
    fps: Annotated[float, typer.Option(help="Pictures a second, at most.", min=0.01)] = 1.0,
    count: Annotated[int | None, typer.Option(help="How many pictures; without it, until Ctrl-C.", min=1)] = None,
    image_format: Annotated[Literal["png", "jpg"], typer.Option("--format", help="The pictures' format.")] = "png",
    reconnect: Reconnecting = True,
    give_up_after: GiveUpAfter = 600.0,
    prepare_for: PrepareFor = None,
    release: Release = False,
    stats: ShowStats = False,
    endpoint: Endpoint = None,
    ca: Authority = None,
    insecure: Insecure = False,
    debug: Debug = False,
) -> None:
    """Save a phone's pictures as files, numbered, the newest each time."""
    _configure_logging(debug)
    connect = _connect(
        instance,
        endpoint,
        verify=_verify(ca, insecure),
        reconnect=_reconnect(reconnect, give_up_after),
        prepare_for=prepare_for,
        release=release,
    )
    _run(_frames(connect, output, fps=fps, count=count, suffix=image_format, show_stats=stats))


@app.command(epilog=EPILOG)
def screenshot(
    instance: Instance,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file: .png or .jpg; '-' writes to the standard output.")
    ] = Path("screen.png"),
    image_format: Annotated[
        Literal["png", "jpg"] | None,
        typer.Option("--format", help="The picture's format, whatever the file is called.", show_default=False),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Scale it to so many pixels.", metavar="WxH", show_default=False)
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for a picture, once connected.", min=0.1)] = 10.0,
    endpoint: Endpoint = None,
    ca: Authority = None,
    insecure: Insecure = False,
    debug: Debug = False,
) -> None:
    """Save the picture that is on a phone's screen now."""
    _configure_logging(debug)
    pixels = None if size is None else _pixels(size)
    connect = _connect(instance, endpoint, verify=_verify(ca, insecure))
    _run(_screenshot(connect, output, image_format, size=pixels, timeout_s=timeout))


@app.command(epilog=EPILOG)
def clip(
    recording: Annotated[Path, typer.Argument(help="A video file.", metavar="FILE", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The clip: .webp and .gif move, .mp4 is a small video.")
    ] = Path("clip.webp"),
    start: Annotated[float, typer.Option(help="Where it begins, in seconds.", min=0)] = 0.0,
    end: Annotated[
        float | None, typer.Option(help="Where it ends; without it, with the file.", show_default=False)
    ] = None,
    width: Annotated[int, typer.Option(help="Its width in pixels, at most.", min=16)] = WIDTH,
    fps: Annotated[float, typer.Option(help="Pictures a second.", min=0.1, max=FPS_LIMIT)] = FPS,
    debug: Debug = False,
) -> None:
    """Cut a few seconds out of a recording, small enough for a report."""
    _configure_logging(debug)
    _run(_clip(recording, output, start, end, width=width, fps=fps))


@app.command(epilog=EPILOG)
def audio(
    instance: Instance,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The WAV file; '-' writes bare samples, s16le, to the standard output instead."
        ),
    ] = Path("sound.wav"),
    duration: Annotated[float | None, typer.Option(help="Seconds of sound; without it, until Ctrl-C.", min=0.1)] = None,
    rate: Annotated[int, typer.Option(help="Samples a second.", min=RATES[0], max=RATES[-1])] = RATES[-1],
    layout: Annotated[Layout, typer.Option(help="How many channels.")] = "stereo",
    volume: Annotated[int, typer.Option(help="How loud the phone plays.", min=0, max=100)] = 100,
    stats: ShowStats = False,
    endpoint: Endpoint = None,
    ca: Authority = None,
    insecure: Insecure = False,
    debug: Debug = False,
) -> None:
    """Save a phone's sound, decoded, with a level meter; lost packets are concealed, pauses are silence."""
    _configure_logging(debug)
    connect = _connect(instance, endpoint, verify=_verify(ca, insecure), volume=volume)
    save = _audio_into_pipe if str(output) == "-" else _audio_into_file
    _run(save(connect, output, duration_s=duration, rate=rate, layout=layout, show_stats=stats))


@app.command(epilog=EPILOG)
def info(
    instance: Instance,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    endpoint: Endpoint = None,
    ca: Authority = None,
    insecure: Insecure = False,
    debug: Debug = False,
) -> None:
    """Show what the cloud says of a phone: device, audio ports, ICE servers, token lifetime. No secrets."""
    _configure_logging(debug)
    _run(_info(instance, endpoint, verify=_verify(ca, insecure), as_json=as_json))


@app.command(epilog=EPILOG)
def phone(
    port: Annotated[int, typer.Option(help="The auth API's port; 0 takes a free one.", min=0, max=65535)] = 0,
    host: Annotated[
        str,
        typer.Option(help="The address to listen on; another than loopback takes its token from STREAMER_PHONE_TOKEN."),
    ] = "127.0.0.1",
    size: Annotated[str, typer.Option(help="The screen's size in pixels.", metavar="WxH")] = "720x1280",
    fps: Annotated[int, typer.Option(help="Pictures a second.", min=1, max=120)] = 30,
    fault: Annotated[
        list[str] | None, typer.Option(help="A fault to inject, as name or name=value; `--fault list` lists them.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Run the embedded phone: an auth API, signaling and WebRTC on this machine, to try things against."""
    _configure_logging(debug)
    _run(_phone(host, port, _pixels(size), fps, fault or []))


@app.command(epilog=EPILOG)
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The MP4 file to write.")] = Path("out/demo.mp4"),
    duration: Annotated[float, typer.Option(help="Seconds to record.", min=0.5)] = 10.0,
    debug: Debug = False,
) -> None:
    """Start the embedded phone, connect to it, record its screen, and check the recording picture by picture."""
    _configure_logging(debug)
    _run(_demo(output, duration))


async def _record(
    connect: Callable[[], streamer.Connecting],
    output: Path,
    *,
    into: IO[bytes] | None = None,
    show_stats: bool = False,
    changes: dict[str, Any] | None = None,
    **options: Any,
) -> None:
    """Record into a file, or into a pipe that is no place for words."""
    asked = {name: value for name, value in (changes or {}).items() if value is not None}
    if asked:
        options["transcode"] = streamer.Transcode(**asked)
    target, console = (output, out) if into is None else (into, err)
    check_target(target)  # before connecting, which may take the phone over from somebody
    async with (
        _stop_on_signal() as stopped,
        _connected(connect()) as session,
        session.record(target, **options) as recording,
    ):
        try:
            with Live(console=err, refresh_per_second=5, get_renderable=lambda: _progress(session, recording)):
                await _until(session, stopped, recording)
        finally:
            if not err.is_terminal:  # there Live leaves its only line without an end
                err.line()
            if show_stats:
                console.print(_stats_table(session.stats()))
    if recording.pictures == 0:
        raise errors.RecordingError(f"no picture came: {output} holds nothing")
    files = f"{len(recording.segments)} files  " if len(recording.segments) > 1 else ""
    console.print(
        f"[bold]{escape(str(output))}[/]  {files}{recording.duration_s:.1f} s  {recording.pictures} pictures  "
        f"{_size(recording.size_bytes)}",
        highlight=False,
    )


async def _record_into_pipe(connect: Callable[[], streamer.Connecting], output: Path, **options: Any) -> None:
    """Record into the standard output."""
    if sys.stdout.isatty():
        raise errors.ConfigurationError("expected a pipe or a file at the standard output, got a terminal")
    with open(sys.stdout.fileno(), "wb", buffering=0, closefd=False) as pipe:  # noqa: ASYNC230 - it is open
        await _record(connect, output, into=pipe, **options)


async def _frames(
    connect: Callable[[], streamer.Connecting],
    output: Path,
    *,
    fps: float,
    count: int | None,
    suffix: str,
    show_stats: bool,
) -> None:
    with _writing_into(output):
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    number = 0
    async with _stop_on_signal() as stopped, _connected(connect()) as session:
        with err.status("connected") as status:
            pictures = session.frames(max_fps=fps)
            stopping = asyncio.ensure_future(stopped.wait())
            stopping.add_done_callback(lambda _: pictures.close())
            try:
                async for frame in pictures:
                    path = output / f"{number:06d}.{suffix}"
                    await asyncio.to_thread(frame.save, path)
                    number += 1
                    status.update(f"{path}  {frame.width}x{frame.height}")
                    if number == count:
                        break
            finally:
                stopping.cancel()
                pictures.close()
                if show_stats:
                    out.print(_stats_table(session.stats()))
    out.print(f"[bold]{escape(str(output))}[/]  {number} pictures", highlight=False)


async def _screenshot(
    connect: Callable[[], streamer.Connecting],
    output: Path,
    suffix: str | None,
    *,
    size: tuple[int, int] | None,
    timeout_s: float,
) -> None:
    is_pipe = str(output) == "-"
    if is_pipe and sys.stdout.isatty():
        raise errors.ConfigurationError("expected a pipe or a file at the standard output, got a terminal")
    image_format = image_format_of(Path(f"-.{suffix or 'png'}") if suffix or is_pipe else output)
    if not is_pipe:
        check_whole(output)  # before connecting, which may take the phone over from somebody
    async with connect() as session:
        frame = await session.screenshot(timeout_s=timeout_s)
    data = frame.encode(image_format, size=size)
    if is_pipe:
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as error:
            raise unwritable(output, error) from error
        return
    write_whole(output, data)
    width, height = size or (frame.width, frame.height)
    out.print(f"[bold]{escape(str(output))}[/]  {width}x{height}  {_size(len(data))}", highlight=False)


async def _clip(recording: Path, output: Path, start_s: float, end_s: float | None, *, width: int, fps: float) -> None:
    with err.status(f"{output}"):
        await streamer.clip(recording, start_s, end_s, output, width=width, fps=fps)
    out.print(f"[bold]{escape(str(output))}[/]  {_size(output.stat().st_size)}", highlight=False)


async def _audio_into_file(
    connect: Callable[[], streamer.Connecting], output: Path, *, rate: int, layout: Layout, **options: Any
) -> None:
    container: wave.Wave_write | None = None
    try:
        is_new = not output.exists()
        output.open("ab").close()  # before connecting, which may take the phone over from somebody
        if is_new:
            output.unlink()
        with contextlib.ExitStack() as files:

            def write(samples: bytes) -> None:
                nonlocal container
                if container is None:  # until there is sound, whatever is there stays as it is
                    container = files.enter_context(wave.open(files.enter_context(output.open("wb"))))
                    container.setnchannels(_CHANNELS[layout])
                    container.setsampwidth(2)
                    container.setframerate(rate)
                container.writeframes(samples)

            recorder = _SoundRecorder(write, rate=rate, layout=layout, limit_bytes=_WAV_LIMIT)
            await _audio(connect, output, recorder, out, **options)
    except OSError as error:
        raise unwritable(output, error) from error


async def _audio_into_pipe(
    connect: Callable[[], streamer.Connecting], output: Path, *, rate: int, layout: Layout, **options: Any
) -> None:
    if sys.stdout.isatty():
        raise errors.ConfigurationError("expected a pipe or a file at the standard output, got a terminal")
    try:
        with open(sys.stdout.fileno(), "wb", closefd=False) as pipe:  # noqa: ASYNC230 - it is open

            def write(samples: bytes) -> None:
                pipe.write(samples)
                pipe.flush()

            await _audio(connect, output, _SoundRecorder(write, rate=rate, layout=layout), err, **options)
    except OSError as error:
        raise errors.RecordingError(f"the standard output takes no more: {error.strerror}") from error


async def _audio(
    connect: Callable[[], streamer.Connecting],
    output: Path,
    recorder: "_SoundRecorder",
    console: Console,
    *,
    duration_s: float | None,
    show_stats: bool,
) -> None:
    async with _stop_on_signal() as stopped, _connected(connect()) as session:
        sound = session.audio(rate=recorder.rate, layout=recorder.layout)
        stopping = asyncio.ensure_future(stopped.wait())
        stopping.add_done_callback(lambda _: sound.close())
        loop = asyncio.get_running_loop()
        # A phone that plays nothing may send nothing: then the time is over all the same.
        over = None if duration_s is None else loop.call_later(duration_s + _SOUND_LATE_S, sound.close)
        try:
            with Live(console=err, refresh_per_second=10, get_renderable=recorder.meter):
                await recorder.take(sound, duration_s)
        finally:
            stopping.cancel()
            if over is not None:
                over.cancel()
            sound.close()
            if not err.is_terminal:  # there Live leaves its only line without an end
                err.line()
            if show_stats:
                console.print(_stats_table(session.stats()))
    if not recorder.written:
        raise errors.RecordingError(f"no sound came: {output} holds nothing")
    console.print(
        f"[bold]{escape(str(output))}[/]  {recorder.written / recorder.rate:.1f} s  {recorder.rate} Hz  "
        f"{recorder.layout}  {1000 * recorder.concealed / recorder.rate:.0f} ms concealed",
        highlight=False,
    )


class _SoundRecorder:
    """Write sound by `write`, half a second at a time, and show how loud it is."""

    def __init__(
        self, write: Callable[[bytes], None], *, rate: int, layout: Layout, limit_bytes: int | None = None
    ) -> None:
        self.rate = rate
        self.layout: Layout = layout
        self.written = 0  # samples
        self.concealed = 0
        self._write = write
        self._limit = None if limit_bytes is None else limit_bytes // (2 * _CHANNELS[layout])
        self._pending: list[bytes] = []
        self._taken = 0  # samples, those that are pending too
        self._last: AudioFrame | None = None
        self._peak = 0.0  # since the meter was last shown

    async def take(self, sound: AudioIterator, duration_s: float | None) -> None:
        """Write what comes: until it ends, or for so long."""
        wanted = None if duration_s is None else round(duration_s * self.rate)
        try:
            async for frame in sound:
                await self._add_silence(frame, wanted)
                left = len(frame.samples) if wanted is None else wanted - self._taken
                self._add(frame.samples[:left])
                self.concealed += min(frame.concealed, left)
                self._last, self._peak = frame, max(self._peak, frame.peak)
                if self._taken - self.written >= self.rate / 2:
                    await self._flush()
                if self._taken == wanted:
                    break
        finally:
            await self._flush()

    def meter(self) -> Text:
        """Return how loud it is, in one line."""
        if self._last is None:
            return Text(" no sound yet")
        peak, self._peak = self._peak, 0.0
        peak_dbfs = 20 * math.log10(peak) if peak else -math.inf
        full = max(min(round(_METER * (1 + peak_dbfs / 60)), _METER), 0) if peak else 0  # from -60 dBFS on
        return Text.assemble(
            f"  {self._taken / self.rate:6.1f} s  ",
            ("█" * full, "green" if peak < 0.9 else "red"),
            ("░" * (_METER - full), "dim"),
            f"  {self._last.level_dbfs:6.1f} dBFS  peak {peak_dbfs:6.1f}",
            f"  concealed {1000 * self.concealed / self.rate:.0f} ms",
        )

    async def _add_silence(self, frame: AudioFrame, wanted: int | None) -> None:
        """Where the phone played nothing for long, let the file's time go on."""
        if not frame.discontinuity or self._last is None:
            return
        since_s = (frame.arrival_ns - self._last.arrival_ns) / 1e9 - self._last.duration_s
        missing = max(round(since_s * self.rate), 0)
        if wanted is not None:
            missing = min(missing, wanted - self._taken)
        while missing:
            count = min(missing, self.rate)
            self._add(np.zeros((count, _CHANNELS[self.layout]), np.int16))
            await self._flush()
            missing -= count

    def _add(self, samples: npt.NDArray[Any]) -> None:
        if self._limit is not None and self._taken + len(samples) > self._limit:
            raise errors.RecordingError(
                "a WAV file holds 4 GB and no more: give a lower --rate, --layout mono, or -o -"
            )
        self._taken += len(samples)
        self._pending.append(np.asarray(samples, dtype="<i2").tobytes())

    async def _flush(self) -> None:
        pending, self._pending = b"".join(self._pending), []
        if pending:
            await asyncio.to_thread(self._write, pending)
        self.written = self._taken


async def _info(instance: str, endpoint: str | None, *, verify: bool | Path, as_json: bool) -> None:
    credentials = streamer.credentials_from_environment()
    async with CloudClient(_endpoint(endpoint), credentials, verify=trust_of(verify)) as cloud:
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
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
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


async def _phone(host: str, port: int, size: tuple[int, int], fps: int, fault: list[str]) -> None:
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
        _stop_on_signal() as stopped,
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


async def _demo(output: Path, duration_s: float) -> None:
    from streamer import phone as embedded  # noqa: PLC0415 - draws with an extra

    with _writing_into(output.parent):
        output.parent.mkdir(parents=True, exist_ok=True)
    async with embedded.serve() as server:
        err.print(f"the embedded phone runs at {server.endpoint}, instance {server.instance_id}", highlight=False)
        await _record(
            lambda: streamer.connect(
                server.instance_id, endpoint=server.endpoint, credentials=streamer.Token(server.tenant_token)
            ),
            output,
            max_duration_s=duration_s,
        )
    counters, picture = await asyncio.to_thread(_read_back, output, embedded.read_barcode)
    gaps = sum(after - before - 1 for before, after in itertools.pairwise(counters))
    preview = output.with_suffix(".png")
    av.VideoFrame.from_ndarray(picture, format="rgb24").save(preview)
    if out.is_terminal:
        out.print(_half_blocks(picture))
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


def _connect(
    instance: str,
    endpoint: str | None,
    *,
    verify: bool | Path,
    **options: Any,
) -> Callable[[], streamer.Connecting]:
    return lambda: streamer.connect(
        instance,
        endpoint=_endpoint(endpoint),
        credentials=streamer.credentials_from_environment(),
        verify=verify,
        **options,
    )


@contextlib.asynccontextmanager
async def _connected(connecting: streamer.Connecting) -> AsyncIterator[streamer.Session]:
    """Connect, and show how far it is meanwhile."""
    async with contextlib.AsyncExitStack() as stack:
        with err.status("connecting") as status:
            telling = asyncio.create_task(_tell(connecting.events(), status))
            try:
                session = await stack.enter_async_context(connecting)
            finally:
                telling.cancel()
        yield session


async def _tell(events: streamer.EventIterator, status: Status) -> None:
    async for event in events:
        status.update(f"{event.kind}{f': {escape(event.reason)}' if event.reason else ''}")


def _verify(ca: Path | None, insecure: bool) -> bool | Path:
    if ca is not None and insecure:
        raise typer.BadParameter("expected --ca or --insecure, got both", param_hint="--ca")
    if insecure:
        err.print("TLS certificates are not verified", style="yellow")
    return ca or not insecure


def _reconnect(wanted: bool, give_up_after_s: float) -> streamer.Reconnect | None:
    return streamer.Reconnect(give_up_after_s=give_up_after_s or None) if wanted else None


def _endpoint(endpoint: str | None) -> str:
    if endpoint is None:
        raise errors.ConfigurationError(
            "no endpoint: set STREAMER_ENDPOINT or give --endpoint, the API's base URL "
            "(Huawei's own is https://koophone.myhuaweicloud.com)"
        )
    return endpoint


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a command to its end; an error of ours becomes one sentence and an exit code."""
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_interruptible(coroutine))
    except errors.StreamerError as error:
        err.print(Text.assemble(("error: ", "bold red"), str(error)))
        raise typer.Exit(next(code for kind, code in EXIT_CODES if isinstance(error, kind))) from None
    except asyncio.CancelledError:
        raise typer.Exit(130) from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - the extra `fast`
    except ImportError:
        return None
    return uvloop.new_event_loop


@contextlib.asynccontextmanager
async def _stop_on_signal() -> AsyncIterator[asyncio.Event]:
    """Give an event that the first Ctrl-C or SIGTERM sets; the second one interrupts at once."""
    stopped = asyncio.Event()
    task = _current_task()

    def on_signal() -> None:
        if stopped.is_set():
            task.cancel()
        stopped.set()

    with _on_signal(on_signal):
        yield stopped


async def _interruptible(work: Coroutine[Any, Any, None]) -> None:
    """Do some work, which Ctrl-C and SIGTERM cancel, so that it closes what it has opened."""
    with _on_signal(_current_task().cancel):
        await work


@contextlib.contextmanager
def _on_signal(call: Callable[[], object]) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM call something in the running loop, and never raise KeyboardInterrupt anywhere in it."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    # Not `loop.add_signal_handler`, which Windows lacks, and which cannot give back what was there before.
    before = [signal.signal(number, lambda *_: loop.call_soon_threadsafe(call)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - it is called in one
    return task


async def _until(session: streamer.Session, stopped: asyncio.Event, recording: streamer.Recording) -> None:
    """Return when the recording has ended or a signal came; raise what ended the stream before that."""
    ended = asyncio.ensure_future(session.wait_ended())
    others = [asyncio.ensure_future(stopped.wait()), asyncio.ensure_future(recording.closed())]
    try:
        await asyncio.wait({ended, *others}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            ended.result()
    finally:
        for waiting in (ended, *others):
            waiting.cancel()


def _progress(session: streamer.Session, recording: streamer.Recording) -> Text:
    stats = session.stats()
    parts: list[str | tuple[str, str]] = [
        (f" {stats.state} ", "bold reverse green" if stats.state == "streaming" else "bold reverse yellow"),
        f"  {recording.duration_s:6.1f} s",
        f"  {stats.picture_rate_hz:5.1f} fps",
        f"  {stats.bitrate_bps / 1e6:6.2f} Mbit/s",
        f"  lost {_percent(stats.packets_lost, stats.packets_received)}",
        f"  {recording.pictures} pictures",
        f"  {_size(recording.size_bytes)}",
    ]
    if stats.state == "interrupted":
        parts.append((f"\n {_interruption(session.status)}", "yellow"))
    return Text.assemble(*parts)


def _interruption(event: streamer.Event) -> str:
    """Say why the stream is interrupted, and what is done about it."""
    if event.kind != "interrupted":
        return f"reconnecting: {event.kind} …"
    if event.retry_in_s is None:
        return f"interrupted: {event.reason}"
    left_s = round(event.at + event.retry_in_s - time.time())
    return f"interrupted: {event.reason}; reconnecting {f'in {left_s} s' if left_s > 0 else 'now'}"


def _stats_table(stats: streamer.Stats) -> Table:
    """Return a session's statistics, a line for each stage of a picture's way."""
    mean_bps = 8 * stats.bytes_received / stats.duration_s if stats.duration_s else 0.0
    rows = {
        "stream": [f"{stats.duration_s:.1f} s", f"{mean_bps / 1e6:.2f} Mbit/s"],
        "packets": [
            f"{stats.packets_received} received",
            f"{stats.packets_lost} lost",
            f"{stats.packets_recovered} recovered",
            f"{stats.packets_malformed} malformed",
        ],
        "network": [f"jitter {_ms(stats.jitter_s)}", f"round trip {_ms(stats.round_trip_s)}"],
        "requests": [
            f"{stats.nacks_sent} NACK for {stats.retransmission_requests} packets",
            f"{stats.plis_sent} PLI",
            f"{stats.firs_sent} FIR",
        ],
        "pictures": [
            f"{stats.pictures_received} received",
            f"{stats.pictures_lost} lost",
            f"{stats.pictures_malformed} malformed",
            f"{stats.pictures_awaiting_keyframe} without their keyframe",
        ],
        "freezes": [f"{stats.freezes}", f"{stats.frozen_s:.1f} s in all"] if stats.freezes else ["none"],
        "sound": [f"{stats.audio_packets} packets"],
    }
    if stats.audio_decoded or stats.audio_errors:
        rows["sound"] += [
            f"{stats.audio_decoded} decoded",
            f"{stats.audio_errors} refused",
            f"{stats.audio_overflows} dropped for want of time",
            f"{_ms(stats.audio_concealed_s)} concealed",
        ]
    if stats.frames_decoded or stats.decode_errors or stats.pictures_too_large or stats.decoder_overflows:
        rows["frames"] = [
            f"{stats.frames_decoded} decoded",
            f"{stats.decode_errors} refused",
            *([f"{stats.pictures_too_large} too large"] if stats.pictures_too_large else []),
            f"{stats.decoder_overflows} dropped for want of time",
            f"{stats.frames_skipped} skipped for newer ones",
        ]
        rows["delays"] = [
            f"decoding {_ms(stats.mean_decode_s)}",
            f"since arrival {_ms(stats.mean_delay_s)}",
            f"since capture {_ms(stats.mean_latency_s)}"
            f"{'' if stats.mean_latency_s is None else ', if both clocks are in step'}",
        ]
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, facts in rows.items():
        table.add_row(name, Text(" · ".join(facts)))
    return table


def _ms(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1000:.1f} ms"


@contextlib.contextmanager
def _writing_into(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise errors.RecordingError(f"cannot write into {directory}: {error.strerror}") from error


def _pixels(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise typer.BadParameter(f"expected a size such as 720x1280, got {size}", param_hint="--size")
    return int(width), int(height)


def _describe(audio_port: streamer.AudioPort) -> str:
    where = f"{audio_port.address or '?'}:{audio_port.port if audio_port.port is not None else '?'}"
    kind = "" if audio_port.type is None else f", type {audio_port.type}"
    ipv6 = f", {audio_port.address_ipv6}" if audio_port.address_ipv6 else ""
    return f"{where}{kind}{ipv6}"


def _bytes(megabytes: float | None) -> int | None:
    return None if megabytes is None else round(megabytes * 1e6)


def _percent(part: int, rest: int) -> str:
    return f"{100 * part / (part + rest):.1f} %" if part else "0 %"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _half_blocks(picture: npt.NDArray[np.uint8], columns: int = 36) -> Text:
    """Return a picture drawn with two pixels a character cell."""
    height, width = picture.shape[:2]
    rows = max(height * columns // width // 2, 1) * 2
    small = picture[np.arange(rows) * height // rows][:, np.arange(columns) * width // columns]
    text = Text()
    for upper, lower in zip(small[::2], small[1::2], strict=True):
        for (r, g, b), (r2, g2, b2) in zip(upper, lower, strict=True):
            text.append("▀", style=f"rgb({r},{g},{b}) on rgb({r2},{g2},{b2})")
        text.append("\n")
    return text


def _configure_logging(debug: bool) -> None:
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.ERROR, format="%(relativeCreated)7.0f ms  %(name)-20s %(message)s"
    )
    for noisy in ("asyncio", "aioice", "aiortc", "httpcore", "httpx", "websockets"):
        logging.getLogger(noisy).setLevel(logging.WARNING if debug else logging.ERROR)
