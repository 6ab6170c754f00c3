"""Every command with its options; what it does is in the module that it calls, imported when there is work to do."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from streamer.cli.codes import EPILOG
from streamer.cli.options import (
    Access,
    Connection,
    Instance,
    Output,
    Overwrite,
    ShowStats,
    bytes_of,
    default_name,
    number_option,
    pixels_of,
    time_option,
    with_groups,
)

app = typer.Typer(
    help="Record a Huawei KooPhone cloud phone's screen and audio, save its frames, and see what the cloud says of it.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_ONE_AT_A_TIME = (
    "\n\nA phone serves one connection at a time. This command takes the phone over: whatever is connected to it "
    "ends, a recording too, with code 1402."
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
    epilog=EPILOG,
    short_help="Record the screen and audio into a file.",
    help="Record a phone's screen and audio into a file, as they come; nothing is encoded again unless you ask for it."
    f"{_ONE_AT_A_TIME} For frames during a recording there is --screenshot-every, and the signal SIGUSR1, which "
    "saves one beside the recording.",
)
@with_groups
def record(
    instance: Instance,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file: .mp4, .mkv, .webm or .ts; for several a pattern such as 'clip-{:04d}.mp4' or "
            "'{start:%H%M%S}.mp4'; '-' writes MPEG-TS to the standard output.",
            metavar="FILE",
            show_default="INSTANCE-DATE-TIME.mp4",
        ),
    ] = None,
    overwrite: Overwrite = False,
    duration: Annotated[
        float | None, time_option("How long to record, such as 90, 10s, 1m30s or 2h; else until Ctrl-C.", least=0.1)
    ] = None,
    max_mb: Annotated[float | None, number_option("End before the recording is larger.", least=0.1)] = None,
    segment_seconds: Annotated[
        float | None, time_option("Begin another file after so long, with a keyframe.", least=1)
    ] = None,
    segment_mb: Annotated[
        float | None, number_option("Begin another file when one is so large, with a keyframe.", least=0.1)
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="Add a JSON line for each finished file to this one.", metavar="FILE", show_default=False),
    ] = None,
    screenshot_every: Annotated[
        float | None, time_option("Save a screenshot beside the recording each time so long has passed.", least=0.1)
    ] = None,
    codec: Annotated[
        Literal["h264", "h265", "vp9", "av1"] | None, typer.Option(help="Encode again, into this.", show_default=False)
    ] = None,
    fps: Annotated[float | None, number_option("Encode again, at this constant rate.", least=0.1, most=120)] = None,
    height: Annotated[
        int | None,
        typer.Option(help="Encode again, scaled to so many pixels.", metavar="NUMBER", min=16, show_default=False),
    ] = None,
    burn_time: Annotated[bool, typer.Option("--burn-time", help="Encode again, with the time on each frame.")] = False,
    volume: Annotated[int, typer.Option(help="How loud the phone plays.", metavar="NUMBER", min=0, max=100)] = 100,
    stats: ShowStats = False,
    connection: Connection,
    say: Output,
) -> None:
    from streamer.cli import connecting, recording, runtime

    runtime.run(
        recording.record(
            connecting.later(instance, connection, volume=volume),
            output or default_name(instance, ".mp4"),
            say=say,
            screenshots_at=default_name(instance),
            show_stats=stats,
            screenshot_every_s=screenshot_every,
            changes={"codec": codec, "fps": fps, "height": height, "timestamps": burn_time or None},
            overwrite=overwrite,
            max_duration_s=duration,
            max_bytes=bytes_of(max_mb),
            segment_s=segment_seconds,
            segment_bytes=bytes_of(segment_mb),
            manifest=manifest,
        ),
        say,
    )


@app.command(
    epilog=EPILOG,
    short_help="Save frames as numbered image files.",
    help="Save a phone's frames as image files, numbered, the newest each time. In a directory that holds numbered "
    f"images already the numbers go on.{_ONE_AT_A_TIME}",
)
@with_groups
def frames(
    instance: Instance,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The directory to write into.",
            metavar="DIRECTORY",
            show_default="INSTANCE-DATE-TIME",
        ),
    ] = None,
    fps: Annotated[float, number_option("Frames a second, at most.", least=0.01, default="1")] = 1.0,
    count: Annotated[
        int | None,
        typer.Option(help="How many frames; else until Ctrl-C.", metavar="NUMBER", min=1, show_default=False),
    ] = None,
    image_format: Annotated[Literal["png", "jpg"], typer.Option("--format", help="The images' format.")] = "png",
    stats: ShowStats = False,
    connection: Connection,
    say: Output,
) -> None:
    from streamer.cli import connecting, frames, runtime

    connect = connecting.later(instance, connection)
    target = output or default_name(instance)
    work = frames.save_frames(connect, target, say=say, fps=fps, count=count, suffix=image_format, show_stats=stats)
    runtime.run(work, say)


@app.command(
    epilog=EPILOG,
    short_help="Save what is on the screen now.",
    help=f"Save what is on a phone's screen now.{_ONE_AT_A_TIME} To take screenshots during a recording, see "
    "'streamer record --help'.",
)
@with_groups
def screenshot(
    instance: Instance,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file: .png or .jpg; '-' writes to the standard output.",
            metavar="FILE",
            show_default="INSTANCE-DATE-TIME.png",
        ),
    ] = None,
    overwrite: Overwrite = False,
    image_format: Annotated[
        Literal["png", "jpg"] | None,
        typer.Option("--format", help="The image's format, whatever the file is called.", show_default=False),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Scale it to so many pixels.", metavar="WxH", show_default=False)
    ] = None,
    timeout: Annotated[
        float, time_option("How long to wait for a frame, once connected.", least=0.1, default="10s")
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


@app.command(epilog=EPILOG, short_help="Cut a few seconds out of a recording.")
@with_groups
def clip(
    recording: Annotated[Path, typer.Argument(help="A video file.", metavar="FILE", show_default=False)],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The clip: .webp and .gif move, .mp4 is a small video.",
            metavar="CLIP",
            show_default="FILE-START-END.webp",
        ),
    ] = None,
    overwrite: Overwrite = False,
    start: Annotated[float, time_option("Where it begins.", default="0s")] = 0.0,
    end: Annotated[float | None, time_option("Where it ends; else with the file.")] = None,
    width: Annotated[int, typer.Option(help="Its width in pixels, at most.", metavar="NUMBER", min=16)] = 480,
    fps: Annotated[float, number_option("Frames a second.", least=0.1, most=30, default="10")] = 10.0,
    say: Output,
) -> None:
    """Cut a few seconds out of a recording, small enough for a report."""
    from streamer.cli import frames, runtime

    until = "end" if end is None else f"{end:g}s"
    target = output or Path(f"{recording.stem}-{start:g}s-{until}.webp")
    work = frames.cut_clip(recording, target, start, end, say=say, overwrite=overwrite, width=width, fps=fps)
    runtime.run(work, say)


@app.command(
    epilog=EPILOG,
    short_help="Save the audio as a WAV file.",
    help="Save a phone's audio, decoded, with a level meter; lost packets are concealed, pauses are silence."
    f"{_ONE_AT_A_TIME}",
)
@with_groups
def audio(
    instance: Instance,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The WAV file; '-' writes bare samples, s16le, to the standard output instead.",
            metavar="FILE",
            show_default="INSTANCE-DATE-TIME.wav",
        ),
    ] = None,
    overwrite: Overwrite = False,
    duration: Annotated[
        float | None, time_option("How much audio, such as 90, 10s or 1m30s; else until Ctrl-C.", least=0.1)
    ] = None,
    rate: Annotated[int, typer.Option(help="Samples a second.", metavar="NUMBER", min=8000, max=48_000)] = 48_000,
    layout: Annotated[Literal["mono", "stereo"], typer.Option(help="How many channels.")] = "stereo",
    volume: Annotated[int, typer.Option(help="How loud the phone plays.", metavar="NUMBER", min=0, max=100)] = 100,
    stats: ShowStats = False,
    connection: Connection,
    say: Output,
) -> None:
    from streamer.cli import audio, connecting, runtime

    work = audio.save(
        connecting.later(instance, connection, volume=volume),
        output or default_name(instance, ".wav"),
        say=say,
        overwrite=overwrite,
        duration_s=duration,
        rate=rate,
        layout=layout,
        show_stats=stats,
    )
    runtime.run(work, say)


@app.command(epilog=EPILOG, short_help="Show what the cloud says of a phone.")
@with_groups
def info(instance: Instance, *, access: Access, say: Output) -> None:
    """Show what the cloud says of a phone: device, audio ports, ICE servers, token lifetime. No secrets.

    This does not connect to the phone, and disturbs nothing that is connected to it.
    """
    from streamer.cli import info, runtime

    runtime.run(info.show(instance, access, as_json=say.as_json), say)


@app.command(epilog=EPILOG, short_help="Run an emulator to try things against.")
@with_groups
def phone(
    *,
    port: Annotated[
        int | None,
        typer.Option(
            help="The auth API's port; 0 takes a free one.",
            metavar="PORT",
            min=0,
            max=65535,
            show_default="8470, or a free one if that is taken",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="The address to listen on; another than loopback takes its token from STREAMER_PHONE_TOKEN.",
        ),
    ] = "127.0.0.1",
    count: Annotated[
        int, typer.Option(help="How many phones to run behind the one API.", metavar="NUMBER", min=1, max=100)
    ] = 1,
    size: Annotated[str, typer.Option(help="The screen's size in pixels.", metavar="WxH")] = "720x1280",
    fps: Annotated[int, typer.Option(help="Frames a second.", metavar="NUMBER", min=1, max=120)] = 30,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FAULT",
            help="A fault to inject, as name or name=value; '--fault list' lists them.",
            show_default=False,
        ),
    ] = None,
    say: Output,
) -> None:
    """Run the emulator: an auth API, signaling and WebRTC on this machine, to try things against.

    Its port, its instance ids (demo-phone; demo-phone-1 and so on of several) and its token (demo-token, or
    STREAMER_PHONE_TOKEN) are the same at each start.
    """
    from streamer.cli import demo, runtime

    runtime.run(
        demo.serve(host, port, count=count, size=pixels_of(size), fps=fps, fault=fault or [], as_json=say.as_json),
        say,
    )


@app.command(epilog=EPILOG, short_help="Record an emulator and check the file.")
@with_groups
def demo(
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The MP4 file to write.", metavar="FILE", show_default="out/demo.mp4"),
    ] = None,
    overwrite: Overwrite = False,
    duration: Annotated[float, time_option("How long to record.", least=0.5, default="10s")] = 10.0,
    say: Output,
) -> None:
    """Start the emulator, connect to it, record its screen, and check the recording frame by frame.

    The file that is written by default is replaced each time.
    """
    from streamer.cli import demo, runtime

    work = demo.demo(output or Path("out/demo.mp4"), duration, say=say, overwrite=overwrite or output is None)
    runtime.run(work, say)
