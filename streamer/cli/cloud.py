"""`streamer list | shell | apps | set-video`: what the cloud does with a phone without a stream."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import typer
from rich.text import Text

import streamer
from streamer.cli.connecting import endpoint_of, verify
from streamer.cli.display import entries_table
from streamer.cli.options import Api
from streamer.cli.output import show_result, styled, warnings

_DONE: Final = {
    "start": "started",
    "stop": "stopped",
    "clear": "cleared",
    "grant": "granted to",
    "install": "installed",
    "uninstall": "uninstalled",
}
_ACTIONS: Final = ("list", *_DONE)
_DETAILS: Final = {  # which options an action takes, and whether it needs them
    "list": ({"only"}, False),
    "start": ({"activity"}, False),
    "grant": ({"permission"}, True),
    "install": ({"url", "app_version", "size_mb"}, True),
}


def check_action(action: str, package: str | None, details: Mapping[str, object]) -> None:
    """Raise `typer.BadParameter` if an action is not known, or lacks what it needs, or has what it does not take."""
    if action not in _ACTIONS:
        raise typer.BadParameter(f"expected {', '.join(_ACTIONS[:-1])} or {_ACTIONS[-1]}, got {action}")
    if (package is None) != (action == "list"):
        wanted = "no package with list" if package else f"a package to {action}, such as com.example.shop"
        raise typer.BadParameter(f"expected {wanted}, got {package or 'none'}")
    taken, is_needed = _DETAILS.get(action, (set(), False))
    for name, value in details.items():
        flag = f"--{name.replace('_', '-')}"
        if value is not None and name not in taken:
            raise typer.BadParameter(f"{action} does not take it", param_hint=flag)
        if value is None and is_needed and name in taken:
            raise typer.BadParameter(f"{action} needs it", param_hint=flag)


async def list_phones(api: Api, *, limit: int, as_json: bool) -> None:
    """Print the phones of the tenant."""
    async with _open(api) as cloud:
        found = await cloud.list(limit=limit)
    table = entries_table("instance", "state", "name", "user", "region", "specification")
    for each in found:
        state = f"{each.state}, frozen" if each.is_frozen else each.state
        row = (each.instance_id, state, each.name, each.assigned_user, each.region, each.specification)
        table.add_row(*(value or "" for value in row))
    facts = [{**dataclasses.asdict(each), "state": each.state} for each in found]
    show_result({"instances": facts}, table if found else styled("no phones"), as_json=as_json)


async def shell(instance: str, command: str, api: Api, *, wait_s: float | None, as_json: bool) -> None:
    """Run a command, and print its output: line by line, without what a terminal would obey."""
    async with _open(api) as cloud:
        result = await cloud.phone(instance).shell(command, wait_s=wait_s)
    lines = result.output.replace("\r\n", "\n").rstrip("\n").split("\n")
    if result.is_cut:
        warnings.add("the API passes on 1024 bytes of the output; there may be more")
    if as_json or lines != [""]:
        facts = {"instance_id": instance, **dataclasses.asdict(result)}
        show_result(facts, Text("\n").join(map(styled, lines)), as_json=as_json)


async def apps(
    instance: str,
    action: str,
    package: str,
    api: Api,
    *,
    details: Mapping[str, Any],
    timeout_s: float,
    as_json: bool,
) -> None:
    """List the apps, or do something with one."""
    async with _open(api) as cloud:
        of_phone = cloud.phone(instance).apps
        match action:
            case "list":
                kind = details["only"]
                await _list_apps(of_phone, instance, None if kind is None else kind == "system", as_json=as_json)
                return
            case "start":
                await of_phone.start(package, activity=details["activity"])
            case "grant":
                await of_phone.grant(package, details["permission"])
            case "install":
                await of_phone.install(
                    url=details["url"],
                    package=package,
                    version=details["app_version"],
                    size_mb=details["size_mb"],
                    timeout_s=timeout_s,
                )
            case _:
                await {"stop": of_phone.stop, "clear": of_phone.clear, "uninstall": of_phone.uninstall}[action](package)
    facts = {"instance_id": instance, "action": action, "package": package}
    permission = f"{details['permission']} " if action == "grant" else ""
    show_result(facts, styled(f"{permission}{_DONE[action]} {package}"), as_json=as_json)


async def set_video(instance: str, api: Api, *, fps: int, bitrate_kbps: int, as_json: bool) -> None:
    """Set how the phone encodes its screen."""
    async with _open(api) as cloud:
        await cloud.phone(instance).set_video(fps=fps, bitrate_kbps=bitrate_kbps)
    facts = {"instance_id": instance, "fps": fps, "bitrate_kbps": bitrate_kbps}
    show_result(facts, styled(f"{instance}: {fps} frames a second at {bitrate_kbps} kbit/s"), as_json=as_json)


async def _list_apps(apps: streamer.Apps, instance: str, is_system: bool | None, *, as_json: bool) -> None:
    found = await apps.list(is_system=is_system)
    table = entries_table("package", "version", "name")
    for app in found:
        table.add_row(app.package, app.version or "", app.name or "")
    facts = {"instance_id": instance, "apps": [dataclasses.asdict(app) for app in found]}
    show_result(facts, table if found else styled("no apps"), as_json=as_json)


def _open(api: Api) -> streamer.Cloud:
    return streamer.Cloud(
        endpoint=endpoint_of(api),
        credentials=streamer.credentials_from_environment(),
        verify=verify(api),
    )
