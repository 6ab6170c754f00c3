"""Every command with its options; what it does is in the module that it calls, imported when there is work to do."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from streamer.cli.help import Command, Group
from streamer.cli.options import (
    OUTPUT,
    Api,
    Connection,
    Instance,
    Output,
    Overwrite,
    ShowStats,
    bytes_of,
    choice_option,
    default_name,
    number_option,
    option,
    output_option,
    pixels_of,
    time_option,
    with_groups,
)

app = typer.Typer(
    cls=Group,
    help="Record a Huawei KooPhone cloud phone's screen and audio, save its frames, start its apps, and see what the "
    "cloud says of it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

_LIMITS = "Limits"
_ENCODING = "Encoding"
_EMULATOR = "Emulator"
_ONE_AT_A_TIME = (
    "\n\nA phone serves one connection at a time. This command takes the phone over: it ends any other connection, "
    "also a recording, with code 1402."
)


def _show_version(wanted: bool) -> None:
    if wanted:
        import streamer

        typer.echo(f"streamer {streamer.__version__}")
        raise typer.Exit


@app.callback()
def _streamer(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command(
    cls=Command,
    short_help="Record the screen and audio into a file.",
    help="Record a phone's screen and audio into a file, without re-encoding."
    f"{_ONE_AT_A_TIME} To save frames while recording, use --screenshot-every, or send the signal SIGUSR1, which "
    "saves one.",
)
@with_groups
def record(
    instance: Instance,
    *,
    output: Annotated[
        Path | None,
        output_option(
            "The file: .mp4, .mkv, .webm or .ts. A pattern such as 'clip-{:04d}.mp4' or '{start:%H%M%S}.mp4' names "
            "several files. '-' writes MPEG-TS to standard output.",
            "FILE",
            "INSTANCE-DATE-TIME.mp4",
        ),
    ] = None,
    overwrite: Overwrite = False,
    segment_every: Annotated[
        float | None, time_option("Begin another file after this time, with a keyframe.", OUTPUT, least=1)
    ] = None,
    segment_mb: Annotated[
        float | None,
        number_option("Begin another file at about this many megabytes, with a keyframe.", OUTPUT, least=0.1),
    ] = None,
    manifest: Annotated[
        Path | None, option("Append a line of JSON to this file for each finished file.", OUTPUT, metavar="FILE")
    ] = None,
    screenshot_every: Annotated[
        float | None, time_option("Save a screenshot beside the recording this often.", OUTPUT, least=0.1)
    ] = None,
    duration: Annotated[
        float | None,
        time_option("Stop after this time, such as 90s, 15m or 1h30m.", _LIMITS, least=0.1, default="until Ctrl-C"),
    ] = None,
    max_mb: Annotated[
        float | None, number_option("Stop before the recording exceeds this many megabytes.", _LIMITS, least=0.1)
    ] = None,
    codec: Annotated[
        Literal["h264", "h265", "vp9", "av1"] | None,
        choice_option("Re-encode with this codec", _ENCODING, of=("h264", "h265", "vp9", "av1"), metavar="CODEC"),
    ] = None,
    fps: Annotated[
        float | None, number_option("Re-encode at this constant frame rate.", _ENCODING, least=0.1, most=120)
    ] = None,
    height: Annotated[
        int | None,
        number_option(
            "Re-encode, scaled to this even height in pixels.", _ENCODING, least=16, most=8192, is_whole=True, step=2
        ),
    ] = None,
    burn_time: Annotated[
        bool, option("Re-encode with the time drawn on each frame.", _ENCODING, "--burn-time")
    ] = False,
    connection: Connection,
    stats: ShowStats = False,
    say: Output,
) -> None:
    from streamer.cli import connecting, recording, runtime

    runtime.run(
        recording.record(
            connecting.later(instance, connection),
            output or default_name(instance, ".mp4"),
            say=say,
            screenshots_at=default_name(instance),
            show_stats=stats,
            screenshot_every_s=screenshot_every,
            changes={"codec": codec, "fps": fps, "height": height, "timestamps": burn_time or None},
            overwrite=overwrite,
            max_duration_s=duration,
            max_bytes=bytes_of(max_mb),
            segment_s=segment_every,
            segment_bytes=bytes_of(segment_mb),
            manifest=manifest,
        ),
        say,
    )


@app.command(
    cls=Command,
    short_help="Save frames as numbered image files.",
    help="Save a phone's frames as numbered image files, the newest frame each time. In a directory that holds "
    f"numbered images, the numbers continue.{_ONE_AT_A_TIME}",
)
@with_groups
def frames(
    instance: Instance,
    *,
    output: Annotated[Path | None, output_option("The directory.", "DIRECTORY", "INSTANCE-DATE-TIME")] = None,
    image_format: Annotated[
        Literal["png", "jpg"],
        choice_option("The image format", OUTPUT, "--format", of=("png", "jpg"), metavar="FORMAT", default=True),
    ] = "png",
    fps: Annotated[float, number_option("Frames a second, at most.", OUTPUT, least=0.01, default="1")] = 1.0,
    count: Annotated[
        int | None,
        number_option("Stop after this many frames.", _LIMITS, least=1, default="until Ctrl-C", is_whole=True),
    ] = None,
    connection: Connection,
    stats: ShowStats = False,
    say: Output,
) -> None:
    from streamer.cli import connecting, frames, runtime

    connect = connecting.later(instance, connection)
    target = output or default_name(instance)
    work = frames.save_frames(connect, target, say=say, fps=fps, count=count, suffix=image_format, show_stats=stats)
    runtime.run(work, say)


@app.command(
    cls=Command,
    short_help="Save what is on the screen now.",
    help=f"Save what is on a phone's screen now.{_ONE_AT_A_TIME} To take screenshots while recording, use "
    "--screenshot-every of 'streamer record'.",
)
@with_groups
def screenshot(
    instance: Instance,
    *,
    output: Annotated[
        Path | None,
        output_option("The file: .png or .jpg. '-' writes to standard output.", "FILE", "INSTANCE-DATE-TIME.png"),
    ] = None,
    overwrite: Overwrite = False,
    image_format: Annotated[
        Literal["png", "jpg"] | None,
        choice_option(
            "The image format, whatever the file is called", OUTPUT, "--format", of=("png", "jpg"), metavar="FORMAT"
        ),
    ] = None,
    size: Annotated[str | None, option("Scale to this size in pixels.", OUTPUT, metavar="WxH")] = None,
    timeout: Annotated[
        float, time_option("Wait at most this long for a frame, once connected.", _LIMITS, least=0.1, default="10s")
    ] = 10.0,
    connection: Connection,
    say: Output,
) -> None:
    from streamer.cli import connecting, frames, runtime

    work = frames.save_screenshot(
        connecting.later(instance, connection),
        output or default_name(instance, f".{image_format or 'png'}"),
        image_format,
        say=say,
        overwrite=overwrite,
        size=None if size is None else pixels_of(size),
        timeout_s=timeout,
    )
    runtime.run(work, say)


@app.command(cls=Command, short_help="Cut a few seconds out of a recording.")
@with_groups
def clip(
    recording: Annotated[Path, typer.Argument(help="A video file.", metavar="FILE", show_default=False)],
    *,
    output: Annotated[
        Path | None,
        output_option("The clip: .webp or .gif, or .mp4 for a small video.", "CLIP", "FILE-START-END.webp"),
    ] = None,
    overwrite: Overwrite = False,
    start: Annotated[float, time_option("Where the clip begins.", OUTPUT, default="0s")] = 0.0,
    end: Annotated[
        float | None, time_option("Where the clip ends.", OUTPUT, default="the end of the recording")
    ] = None,
    width: Annotated[
        int, number_option("The greatest width in pixels.", _ENCODING, least=16, default=True, is_whole=True)
    ] = 480,
    fps: Annotated[float, number_option("Frames a second.", _ENCODING, least=0.1, most=30, default="10")] = 10.0,
    say: Output,
) -> None:
    """Cut a few seconds out of a recording, small enough for a report. This needs no phone."""
    from streamer.cli import frames, runtime

    until = "end" if end is None else f"{end:g}s"
    target = output or Path(f"{recording.stem}-{start:g}s-{until}.webp")
    work = frames.cut_clip(recording, target, start, end, say=say, overwrite=overwrite, width=width, fps=fps)
    runtime.run(work, say)


@app.command(
    cls=Command,
    short_help="Save the audio as a WAV file.",
    help="Save a phone's audio, decoded, and show its level. Lost packets are concealed; pauses become silence."
    f"{_ONE_AT_A_TIME}",
)
@with_groups
def audio(
    instance: Instance,
    *,
    output: Annotated[
        Path | None,
        output_option(
            "The WAV file. '-' writes raw samples (s16le) to standard output.", "FILE", "INSTANCE-DATE-TIME.wav"
        ),
    ] = None,
    overwrite: Overwrite = False,
    rate: Annotated[
        int, number_option("Samples a second.", _ENCODING, least=8000, most=48_000, default=True, is_whole=True)
    ] = 48_000,
    layout: Annotated[
        Literal["mono", "stereo"],
        choice_option("The channels", _ENCODING, of=("mono", "stereo"), metavar="LAYOUT", default=True),
    ] = "stereo",
    duration: Annotated[
        float | None,
        time_option("Stop after this time, such as 90s, 15m or 1h30m.", _LIMITS, least=0.1, default="until Ctrl-C"),
    ] = None,
    connection: Connection,
    stats: ShowStats = False,
    say: Output,
) -> None:
    from streamer.cli import audio, connecting, runtime

    work = audio.save(
        connecting.later(instance, connection),
        output or default_name(instance, ".wav"),
        say=say,
        overwrite=overwrite,
        duration_s=duration,
        rate=rate,
        layout=layout,
        show_stats=stats,
    )
    runtime.run(work, say)


@app.command(cls=Command, short_help="Show what the cloud says of a phone.")
@with_groups
def info(instance: Instance, *, api: Api, say: Output) -> None:
    """Show what the cloud says of a phone: device, audio ports, ICE servers, how long a stream may last. No secrets.

    This asks the API only: it does not connect to the phone, and interrupts nothing.
    """
    from streamer.cli import info, runtime

    runtime.run(info.show(instance, api, as_json=say.as_json), say)


@app.command(cls=Command, short_help="Run an emulator to try things against.")
@with_groups
def phone(
    *,
    port: Annotated[
        int | None,
        number_option(
            "The auth API's port; 0 takes a free one.",
            _EMULATOR,
            least=0,
            most=65535,
            default="8470, or a free one if that is taken",
            is_whole=True,
        ),
    ] = None,
    host: Annotated[
        str,
        option(
            "The address to listen on. If it is not loopback, set STREAMER_PHONE_TOKEN to a token.",
            _EMULATOR,
            metavar="ADDRESS",
            show_default=True,
        ),
    ] = "127.0.0.1",
    count: Annotated[
        int,
        number_option(
            "Run this many phones behind one API.", _EMULATOR, least=1, most=100, default=True, is_whole=True
        ),
    ] = 1,
    size: Annotated[
        str, option("The screen's size in pixels.", _EMULATOR, metavar="WxH", show_default=True)
    ] = "720x1280",
    fps: Annotated[
        int, number_option("Frames a second.", _EMULATOR, least=1, most=120, default=True, is_whole=True)
    ] = 30,
    screen: Annotated[
        str,
        choice_option(
            "What is on the screen, a demonstration that moves or apps that answer touches",
            _EMULATOR,
            of=("showcase", "apps"),
            metavar="SCREEN",
            default=True,
        ),
    ] = "showcase",
    fault: Annotated[
        list[str] | None,
        option("Inject a fault, as name or name=value. '--fault list' lists them.", _EMULATOR, metavar="FAULT"),
    ] = None,
    say: Output,
) -> None:
    """Run the emulator: an auth API, signaling and WebRTC on this machine, to try things against.

    Its port, its instance ids (demo-phone; with --count, demo-phone-1 and so on) and its token (demo-token, or
    STREAMER_PHONE_TOKEN) are the same at each start.
    """
    from streamer.cli import demo, runtime

    runtime.run(
        demo.serve(
            host,
            port,
            count=count,
            size=pixels_of(size),
            fps=fps,
            screen=screen,
            fault=fault or [],
            as_json=say.as_json,
        ),
        say,
    )


@app.command(cls=Command, short_help="Record an emulator and check the file.")
@with_groups
def demo(
    *,
    output: Annotated[Path | None, output_option("The MP4 file.", "FILE", "out/demo.mp4")] = None,
    overwrite: Overwrite = False,
    duration: Annotated[float, time_option("Stop after this time.", _LIMITS, least=0.5, default="10s")] = 10.0,
    say: Output,
) -> None:
    """Start the emulator, connect to it, record its screen, and check the recording frame by frame.

    The default file is replaced each time.
    """
    from streamer.cli import demo, runtime

    work = demo.demo(output or Path("out/demo.mp4"), duration, say=say, overwrite=overwrite or output is None)
    runtime.run(work, say)
