"""The commands that ask the cloud and need no stream, with their options; `streamer.cli.cloud` does their work."""

from typing import Annotated, Literal

import typer

from streamer.cli.commands import app
from streamer.cli.help import Command
from streamer.cli.options import (
    OUTPUT,
    Api,
    Instance,
    Output,
    choice_option,
    number_option,
    option,
    time_option,
    with_groups,
)

__all__ = ["app"]

_APP = "App"
_VIDEO = "Video"
_LIMITS = "Limits"
_API_ONLY = "\n\nThis asks the API only: it does not connect to the phone, and interrupts nothing."


@app.command("list", cls=Command, short_help="List the phones of the tenant.")
@with_groups
def list_phones(
    *,
    limit: Annotated[
        int, number_option("Show this many at most.", _LIMITS, least=1, most=100_000, default=True, is_whole=True)
    ] = 1000,
    api: Api,
    say: Output,
) -> None:
    """List the phones of the tenant: instance id, state, name, user, region and specification.

    This asks the API only.
    """
    from streamer.cli import cloud, runtime

    runtime.run(cloud.list_phones(api, limit=limit, as_json=say.as_json), say)


@app.command(
    cls=Command,
    short_help="Run a command on a phone.",
    help="Run a command of a phone's shell, and print its output, of which the API passes on the first 1024 bytes."
    "\n\nThe API carries letters, digits, spaces and _ . / : - only. Quote a command that has options of its own, such "
    f"as 'ls -l /system'.{_API_ONLY}",
)
@with_groups
def shell(
    instance: Instance,
    command: Annotated[list[str], typer.Argument(help="The command.", metavar="COMMAND", show_default=False)],
    *,
    wait: Annotated[
        float | None,
        time_option(
            "Run a slow command in the background, and wait this long for its end.", _LIMITS, least=0.1, default="no"
        ),
    ] = None,
    api: Api,
    say: Output,
) -> None:
    from streamer.cli import cloud, runtime

    work = cloud.shell(instance, " ".join(command), api, wait_s=wait, as_json=say.as_json)
    runtime.run(work, say)


@app.command(
    cls=Command,
    short_help="List, start, stop and install apps.",
    help="List the apps of a phone; start, stop, clear, install or uninstall one, or give it a permission."
    f"\n\n'clear' deletes an app's data. 'install' takes an APK from the vendor's object storage (OBS).{_API_ONLY}",
)
@with_groups
def apps(
    instance: Instance,
    action: Annotated[
        str,
        typer.Argument(
            help="list, start, stop, clear, grant, install or uninstall.", metavar="ACTION", show_default=True
        ),
    ] = "list",
    package: Annotated[
        str | None,
        typer.Argument(help="The app, such as com.example.shop.", metavar="PACKAGE", show_default=False),
    ] = None,
    *,
    only: Annotated[
        Literal["system", "other"] | None,
        choice_option("list: only these apps", OUTPUT, of=("system", "other"), metavar="KIND"),
    ] = None,
    activity: Annotated[
        str | None,
        option("start: this activity, such as .Main, in place of the launcher's.", _APP, metavar="NAME"),
    ] = None,
    permission: Annotated[str | None, option("grant: such as android.permission.CAMERA.", _APP, metavar="NAME")] = None,
    url: Annotated[str | None, option("install: where the APK is, in OBS.", _APP, metavar="URL")] = None,
    app_version: Annotated[
        str | None, option("install: the version's name, such as 3.2.", _APP, metavar="NAME")
    ] = None,
    size_mb: Annotated[
        float | None, number_option("install: how many megabytes the APK has.", _APP, least=0.001)
    ] = None,
    timeout: Annotated[
        float, time_option("install: wait at most this long.", _LIMITS, least=0.1, default="10m")
    ] = 600.0,
    api: Api,
    say: Output,
) -> None:
    from streamer.cli import cloud, runtime

    details = {
        "only": only,
        "activity": activity,
        "permission": permission,
        "url": url,
        "app_version": app_version,
        "size_mb": size_mb,
    }
    cloud.check_action(action, package, details)
    work = cloud.apps(instance, action, package or "", api, details=details, timeout_s=timeout, as_json=say.as_json)
    runtime.run(work, say)


@app.command(
    cls=Command,
    short_help="Set frame rate and bit rate.",
    help="Set how a phone encodes its screen, for every resolution and network. The API sets both values at once."
    f"{_API_ONLY}",
)
@with_groups
def set_video(
    instance: Instance,
    *,
    fps: Annotated[
        Literal["30", "60"],
        choice_option("Frames a second", _VIDEO, of=("30", "60"), metavar="NUMBER", default=True),
    ] = "60",
    bitrate: Annotated[
        int,
        number_option(
            "Kilobits a second, in steps of 100.", _VIDEO, least=100, most=10_000, default=True, is_whole=True, step=100
        ),
    ] = 4000,
    api: Api,
    say: Output,
) -> None:
    from streamer.cli import cloud, runtime

    runtime.run(cloud.set_video(instance, api, fps=int(fps), bitrate_kbps=bitrate, as_json=say.as_json), say)
