"""Every command with its options; what it does is in the module that it calls, imported when there is work to do."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from streamer.cli.options import (
    Authority,
    Debug,
    Endpoint,
    GiveUpAfter,
    Insecure,
    Instance,
    PrepareFor,
    Reconnecting,
    RelayOnly,
    Release,
    ShowStats,
    bytes_of,
    pixels_of,
)
from streamer.cli.running import EPILOG, run
from streamer.media.audio import RATES, Layout
from streamer.media.clips import FPS, FPS_LIMIT, WIDTH

app = typer.Typer(
    help="A Huawei KooPhone cloud phone's screen: record it, save its pictures, see what the cloud says of it.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)


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
    from streamer.cli import connecting, recording

    options: dict[str, Any] = {
        "max_duration_s": duration,
        "max_bytes": bytes_of(max_mb),
        "segment_s": segment_seconds,
        "segment_bytes": bytes_of(segment_mb),
        "manifest": manifest,
    }
    changes = {"codec": codec, "fps": fps, "height": height, "timestamps": burn_time or None}
    connect = connecting.later(
        instance,
        endpoint,
        verify=connecting.verify(ca, insecure),
        relay_only=relay_only,
        reconnect=connecting.reconnect(reconnect, give_up_after),
        prepare_for=prepare_for,
        release=release,
    )
    save = recording.into_pipe if str(output) == "-" else recording.into_file
    run(save(connect, output, show_stats=stats, changes=changes, **options), debug=debug)


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
    from streamer.cli import connecting, pictures

    connect = connecting.later(
        instance,
        endpoint,
        verify=connecting.verify(ca, insecure),
        reconnect=connecting.reconnect(reconnect, give_up_after),
        prepare_for=prepare_for,
        release=release,
    )
    work = pictures.save_frames(connect, output, fps=fps, count=count, suffix=image_format, show_stats=stats)
    run(work, debug=debug)


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
    from streamer.cli import connecting, pictures

    pixels = None if size is None else pixels_of(size)
    connect = connecting.later(instance, endpoint, verify=connecting.verify(ca, insecure))
    run(pictures.save_screenshot(connect, output, image_format, size=pixels, timeout_s=timeout), debug=debug)


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
    from streamer.cli import pictures

    run(pictures.cut_clip(recording, output, start, end, width=width, fps=fps), debug=debug)


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
    from streamer.cli import connecting, sound

    connect = connecting.later(instance, endpoint, verify=connecting.verify(ca, insecure), volume=volume)
    save = sound.into_pipe if str(output) == "-" else sound.into_file
    run(save(connect, output, duration_s=duration, rate=rate, layout=layout, show_stats=stats), debug=debug)


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
    from streamer.cli import connecting, ticket

    run(ticket.show(instance, endpoint, verify=connecting.verify(ca, insecure), as_json=as_json), debug=debug)


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
    from streamer.cli import embedded

    run(embedded.serve(host, port, pixels_of(size), fps, fault or []), debug=debug)


@app.command(epilog=EPILOG)
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The MP4 file to write.")] = Path("out/demo.mp4"),
    duration: Annotated[float, typer.Option(help="Seconds to record.", min=0.5)] = 10.0,
    debug: Debug = False,
) -> None:
    """Start the embedded phone, connect to it, record its screen, and check the recording picture by picture."""
    from streamer.cli import embedded

    run(embedded.demo(output, duration), debug=debug)
