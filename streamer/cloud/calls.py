"""The vendor's calls: where each goes, what it carries and how its reply is read. Nothing is sent here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final, Generic, TypeVar
from urllib.parse import quote, unquote

from streamer.cloud.android import check_command, check_package
from streamer.cloud.models import Progress, Ticket, parse_prepared, parse_progress, parse_ticket
from streamer.cloud.results import (
    TASK_ID,
    App,
    InstanceInfo,
    InstanceStatus,
    Job,
    Page,
    Task,
    parse_apps,
    parse_command,
    parse_instances,
    parse_jobs,
    parse_nothing,
    parse_status,
    parse_task,
)
from streamer.errors import ConfigurationError
from streamer.protocol_constants import (
    APP_LIST_PATH,
    ASYNC_COMMAND_PATH,
    AUTH_PATH,
    INSTALL_PATH,
    PREPARE_PATH,
    PROGRESS_PATH,
    QUERY_PATH,
    QUERY_STATUS_PATH,
    REBOOT_PATH,
    RELEASE_PATH,
    RESET_PATH,
    STOP_PATH,
    SYNC_COMMAND_PATH,
    TASK_PATH,
    VIDEO_SETTING_PATH,
)
from streamer.untrusted_text import parse_url, without_secrets

T_co = TypeVar("T_co", covariant=True)

PAGE_SIZE: Final = 100  # entries of a list that are asked for at once
COMMAND_TIMEOUT_S: Final = 40.0  # a sync-command may take 30 s in the sister product CPH [assumed]
BITRATE_LIMIT_KBPS: Final = 10_000  # [doc]
_ID_LIMIT: Final = 128
_USER_LIMIT: Final = 32  # [doc]
_URL_LIMIT: Final = 2000  # [doc] of where an app is downloaded from
_TEXT_LIMIT: Final = 100  # [doc] of a version and a file name
# The newest page [doc] wants all six pairs of network and encoding in each call.
_NETWORKS: Final = ("WIFI", "MOBILE_NETWORK", "WIRED")
_ENCODINGS: Final = ("H264", "H265")
_DEFINITIONS: Final = ("definition_540P", "definition_720P", "definition_1080P")  # [doc] all are mandatory


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T_co]):
    """One call of the API: what is sent, and how a successful reply is read.

    Attributes:
        method: The HTTP method.
        path: Where it goes, below the endpoint.
        read: Returns what a reply says, from its body and its HTTP status. Raises CloudReplyError.
        query: The parameters of the query.
        body: What is sent as JSON; None sends nothing. It may hold what a user typed.
        changes: What it changes, for people, such as "reboot". Such a call is not repeated after an unclear answer.
            None means that the call may be repeated.
        is_command: Whether it counts against the commands that the API allows a minute.
        has_id_in_query: Whether the id of the request goes into the query too [doc].
        timeout_s: How long it may take, in seconds; None is the client's own limit.
    """

    method: str
    path: str
    read: Callable[[bytes, int], T_co] = field(repr=False)
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, object] | None = field(default=None, repr=False)
    changes: str | None = None
    is_command: bool = False
    has_id_in_query: bool = False
    timeout_s: float | None = None


def auth(instance_id: str, stream_type: int | None) -> Call[Ticket]:
    """Ask for a ticket [doc: GetDeviceToken]. `stream_type` 1 is SDK, 2 browser streaming; None leaves it out."""
    return Call(
        method="POST",
        path=_of_instance(AUTH_PATH, instance_id),
        read=lambda body, status: parse_ticket(body, instance_id, status=status),
        query={} if stream_type is None else {"stream_type": stream_type},
    )


def prepare(instance_id: str, user_id: str) -> Call[bool]:
    """Prepare an instance for one of the tenant's own users [doc: BatchPrepareInstances]: is it ready already?"""
    return Call(
        method="POST",
        path=PREPARE_PATH,
        read=lambda body, status: parse_prepared(body, instance_id, status=status),
        body={"user_id": check_user_id(user_id), "instance_ids": [_checked_id(instance_id)]},
    )


def prepare_progress(instance_id: str, user_id: str) -> Call[Progress]:
    """Ask how far an instance is with getting ready [doc: ShowProgress]."""
    return Call(
        method="POST",
        path=PROGRESS_PATH,
        read=lambda body, status: parse_progress(body, status=status),
        body={"user_id": check_user_id(user_id), "instance_id": _checked_id(instance_id)},
    )


def stop_streaming(instance_id: str) -> Call[None]:
    """End an instance's stream, if there is one [doc: StopInstancesStreaming]."""
    return Call(method="POST", path=STOP_PATH, read=parse_nothing, body={"instance_id": _checked_id(instance_id)})


def release_session(instance_id: str) -> Call[None]:
    """Release an instance, which stays taken for a while after its stream otherwise [doc: ReleaseInstancesSession]."""
    return Call(method="POST", path=RELEASE_PATH, read=parse_nothing, body={"instance_id": _checked_id(instance_id)})


def sync_command(instance_id: str, command: str, *, changes: str | None = "command") -> Call[Job]:
    """Run a command and wait for its output [doc: SyncCommand]. Only one that changes nothing has `changes=None`."""
    return Call(
        method="POST",
        path=SYNC_COMMAND_PATH,
        read=lambda body, status: parse_command(body, status, instance_id),
        body={"command": check_command(command), "instance_ids": [_checked_id(instance_id)]},
        changes=changes,
        is_command=True,
        timeout_s=COMMAND_TIMEOUT_S,
    )


def async_command(instance_id: str, command: str) -> Call[Task]:
    """Begin a command whose output `task` gives later [doc: AsyncCommand]."""
    return Call(
        method="POST",
        path=ASYNC_COMMAND_PATH,
        read=lambda body, status: parse_task(body, status, instance_id),
        body={"command": check_command(command), "instance_ids": [_checked_id(instance_id)]},
        changes="command",
        is_command=True,
    )


def task(task_id: str) -> Call[tuple[Job, ...]]:
    """Ask how far a task is [doc: GetTask]."""
    if not TASK_ID.fullmatch(task_id):
        raise ConfigurationError(f"expected the id of a task, got {task_id[:80]!a}")
    return Call(method="GET", path=TASK_PATH.format(task_id=task_id), read=parse_jobs)


def install(
    instance_id: str, *, url: str, package: str, version: str, size_mb: float, md5: str | None = None
) -> Call[Task]:
    """Begin to install an app from object storage [doc: InstallApp].

    The URL may hold a signature, so no error shows its query.
    """
    parts = parse_url(url, {"http", "https"})
    if parts is None or len(url) > _URL_LIMIT:
        raise ConfigurationError(
            f"expected the URL of an APK in object storage, of at most {_URL_LIMIT} characters, "
            f"got '{without_secrets(url)}'"
        )
    if not size_mb > 0 or size_mb == float("inf"):
        raise ConfigurationError(f"expected size_mb above 0, got {size_mb}")
    if not 0 < len(version) <= _TEXT_LIMIT or not version.isprintable():
        raise ConfigurationError(f"expected a version such as 3.2, got {version[:_TEXT_LIMIT]!a}")
    check_package(package)
    name = PurePosixPath(unquote(parts.path)).name
    body = {
        "object_name": package,
        "file_name": name if name.endswith(".apk") and len(name) <= _TEXT_LIMIT else f"{package[:90]}.apk",
        "object_version": version,
        "object_size": f"{size_mb:g}",  # a text [doc]
        "biz_type": "apk",
        "content_type": "application/octet-stream",
        "install_package_url": url,
        "instance_id_list": [_checked_id(instance_id)],
    }
    return Call(
        method="POST",
        path=INSTALL_PATH,
        read=lambda body, status: parse_task(body, status, instance_id),
        body=body if md5 is None else {**body, "content_md5": md5},
        changes=f"installation of {package}",
    )


def apps(instance_id: str, page: int, *, is_system: bool | None) -> Call[Page[App]]:
    """Ask for a page of the apps of an instance, the first is 1 [doc: ListInstanceApp]."""
    kinds = {} if is_system is None else {"app_type": 1 if is_system else 2}
    return Call(
        method="GET",
        path=_of_instance(APP_LIST_PATH, instance_id),
        read=parse_apps,
        query={"page_no": page, "page_size": PAGE_SIZE, **kinds},
    )


def instances(page: int) -> Call[Page[InstanceInfo]]:
    """Ask for a page of the tenant's instances, the first is 1 [doc: ListInstances]."""
    return Call(
        method="GET",
        path=QUERY_PATH,
        read=parse_instances,
        query={"page_no": page, "page_size": PAGE_SIZE},
        has_id_in_query=True,
    )


def status_of(instance_id: str) -> Call[InstanceStatus]:
    """Ask what an instance does [doc: BatchQueryStatus]."""
    return Call(
        method="POST",
        path=QUERY_STATUS_PATH,
        read=lambda body, status: parse_status(body, status, instance_id),
        body={"instance_ids": [_checked_id(instance_id)]},
    )


def reboot(instance_id: str) -> Call[None]:
    """Reboot an instance [doc: BatchRebootInstance]; it begins when the reply comes."""
    body = {"instance_ids": [_checked_id(instance_id)]}
    return Call(method="POST", path=REBOOT_PATH, read=parse_nothing, body=body, changes="reboot")


def reset(instance_id: str) -> Call[Task]:
    """Begin to put an instance back to its factory state [doc: BatchResetInstance]."""
    return Call(
        method="POST",
        path=RESET_PATH,
        read=lambda body, status: parse_task(body, status, instance_id),
        body={"instance_ids": [_checked_id(instance_id)]},
        changes="reset",
    )


def set_video(instance_id: str, *, fps: int, bitrate_kbps: int) -> Call[None]:
    """Set the frame rate and the bit rate, for every network, encoding and resolution [doc: SetVideoConfig]."""
    if fps not in {30, 60}:
        raise ConfigurationError(f"expected fps 30 or 60, got {fps}: the API takes no others")
    if bitrate_kbps not in range(100, BITRATE_LIMIT_KBPS + 1, 100):
        raise ConfigurationError(
            f"expected bitrate_kbps from 100 to {BITRATE_LIMIT_KBPS} in steps of 100, got {bitrate_kbps}"
        )
    group = {definition: {"code_rate": bitrate_kbps, "fps": fps} for definition in _DEFINITIONS}
    settings = [
        {"network_type": network, "encoding_type": encoding, "video_spec_groups": [group]}
        for network in _NETWORKS
        for encoding in _ENCODINGS
    ]
    return Call(
        method="PUT",
        path=VIDEO_SETTING_PATH,
        read=parse_nothing,
        body={"instance_ids": [_checked_id(instance_id)], "instance_settings": settings},
        changes="video setting",
    )


def check_user_id(user_id: str) -> str:
    """Return a user id that can be one. Raises ConfigurationError."""
    if not 0 < len(user_id) <= _USER_LIMIT or not user_id.isprintable():
        raise ConfigurationError(f"expected a user id of 1 to {_USER_LIMIT} printable characters, got {user_id[:80]!r}")
    return user_id


def _of_instance(path: str, instance_id: str) -> str:
    return path.format(instance_id=quote(_checked_id(instance_id), safe=""))


def _checked_id(instance_id: str) -> str:
    if not 0 < len(instance_id) <= _ID_LIMIT or not instance_id.isprintable() or set(instance_id) & set("/\\ ?#"):
        raise ConfigurationError(
            f"expected an instance id of 1 to {_ID_LIMIT} printable characters without space or slash, "
            f"got {instance_id[:_ID_LIMIT]!r}"
        )
    if instance_id.strip(".") == "":
        raise ConfigurationError(f"expected an instance id, got {instance_id!r}")
    return instance_id
