"""What the replies of the calls around the stream say, as plain objects: jobs, apps, instances."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from streamer.cloud.fields import Fields, malformed, read_fields
from streamer.errors import CloudReplyError
from streamer.protocol_constants import TASK_DONE, TASK_FAILED
from streamer.untrusted_text import UnreadableJsonError, UntrustedText

T = TypeVar("T")

OUTPUT_LIMIT: Final = 1024  # bytes of a command's output that the API passes on [doc]
TASK_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")  # [doc] such as ZGCA… and RM_…
_CUT_FROM: Final = OUTPUT_LIMIT - 3  # bytes: a character that is cut in the middle has up to three that are left out
_INSTALL_FAILED: Final = 3  # [doc] of a job that installs an app; 0 is one that has not begun
_OVER: Final = {TASK_DONE, TASK_FAILED, _INSTALL_FAILED}
_SHOWN_LIMIT: Final = 300  # characters of a job's error

_STATUSES: Final = {  # [doc] of batch-query-status, the newer page
    0: "idle",
    1: "restoring",
    2: "data loaded",
    3: "streaming",
    4: "backing up",
    5: "backup failed",
    6: "restoration failed",
    7: "data loaded",
}
_RUNNING_STATUSES: Final = {  # [doc] of batch-query, and of batch-query-status on its older page
    0: "unknown",
    1: "stopped",
    2: "running",
    3: "going offline",
    4: "starting",
    5: "shut down",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellResult:
    """What a command printed.

    Attributes:
        output: Its output as it came from the phone, at most 1024 bytes of it [doc]. It may hold control characters.
        is_cut: Whether there may be more, which the API has cut off.
        job: The vendor's id of the job, if the command was run with `wait_s`.
    """

    output: str
    is_cut: bool
    job: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How far a command, an installation or a reset is on one instance.

    Attributes:
        job_id: The vendor's id of the job.
        status: The vendor's number [doc]: 0 waits, 1 runs, 2 has succeeded, 3 and -1 have failed.
        error_code: The vendor's code for what went wrong, such as CPS0005, in escaped form.
        error_msg: The sentence that goes with it, in escaped form.
        output: What a command printed, as it came from the phone.
    """

    job_id: str | None
    status: int
    error_code: str | None = None
    error_msg: str | None = None
    output: str = ""

    @property
    def is_over(self) -> bool:
        """Whether the job has ended, well or not."""
        return self.status in _OVER

    @property
    def has_failed(self) -> bool:
        """Whether the job has ended, and not well."""
        return self.is_over and self.status != TASK_DONE

    @property
    def is_cut(self) -> bool:
        """Whether the API may have cut the output off."""
        return len(self.output.encode(errors="surrogatepass")) >= _CUT_FROM


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the API has begun; `job_id` is its part for one instance, if the API names it."""

    task_id: str
    job_id: str | None = None

    def job_of(self, jobs: tuple[Job, ...]) -> Job | None:
        """Return the job of this task's instance; None if it is not there yet."""
        named = [job for job in jobs if self.job_id is not None and job.job_id == self.job_id]
        found = named or (jobs if len(jobs) == 1 else ())
        return found[0] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An app that is installed. The texts are as they came from the API.

    Attributes:
        package: The package's name, such as com.example.shop.
        name: The name that people see.
        version: The version's name, such as 3.2.
        icon_url: Where its icon is.
    """

    package: str
    name: str | None = None
    version: str | None = None
    icon_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceInfo:
    """An instance of the tenant [doc]. The texts are as they came from the API; None is what it did not say.

    Attributes:
        instance_id: The id that `connect` and `Cloud.phone` take.
        name: The name that people gave it.
        region: Where it is, such as cn-north-4.
        specification: What was bought, such as cores, memory and resolution.
        running_status: The vendor's number; `state` says what it means.
        is_frozen: Whether it is frozen, such as for an unpaid bill.
        is_logged_in: Whether a user is logged in.
        is_assigned: Whether it is assigned to a user.
        assigned_user: The user that it is assigned to.
    """

    instance_id: str
    name: str | None = None
    region: str | None = None
    specification: str | None = None
    running_status: int | None = None
    is_frozen: bool | None = None
    is_logged_in: bool | None = None
    is_assigned: bool | None = None
    assigned_user: str | None = None

    @property
    def state(self) -> str:
        """What the running status means, such as "running"."""
        if self.running_status is None:
            return "unknown"
        return _RUNNING_STATUSES.get(self.running_status, f"status {self.running_status}")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStatus:
    """What an instance does. The vendor's pages give two meanings to the numbers, so both are named.

    Attributes:
        code: The vendor's number [doc].
    """

    code: int

    @property
    def meaning(self) -> str:
        """What the number means by the newer page of the API [doc], such as "streaming"."""
        return _STATUSES.get(self.code, "unknown")

    @property
    def older_meaning(self) -> str:
        """What the number means by the older page of the API [doc], such as "running"."""
        return _RUNNING_STATUSES.get(self.code, "unknown")

    def __str__(self) -> str:
        return f"{self.meaning} (status {self.code}; in an older API: {self.older_meaning})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """A part of a list; `total` is how many entries the whole list has, if the API says so."""

    entries: tuple[T, ...]
    total: int | None


def parse_nothing(_body: bytes, _status: int) -> None:
    """Read a reply that says nothing but that the call has succeeded."""


def parse_command(body: bytes, status: int, instance_id: str) -> Job:
    """Return how a command went on an instance. Raises CloudReplyError."""
    results = _entries(body, status, "sync-command", "cmd_results")
    named = [fields for fields in results if fields.text("instance_id") == instance_id] or results
    if len(named) != 1:
        raise CloudReplyError(
            f"expected one result of the command at data.cmd_results, got {len(named)} (HTTP {status})",
            status=status,
            path="data.cmd_results",
        )
    return _job(named[0], status, "data.cmd_results[].status")


def parse_task(body: bytes, status: int, instance_id: str) -> Task:
    """Return the task that the API has begun. Raises CloudReplyError."""
    data = _data(body, status, "task")
    task_id = data.text("task_id")
    if task_id is None or not TASK_ID.fullmatch(task_id):
        raise CloudReplyError(
            f"expected a task's id at data.task_id, got '{UntrustedText(task_id or 'nothing', 40)}' (HTTP {status})",
            status=status,
            path="data.task_id",
        )
    jobs = [job for job in _objects(data, "cmd_jobs") if job.text("instance_id") == instance_id]
    return Task(task_id=task_id, job_id=jobs[0].text("job_id") if jobs else None)


def parse_jobs(body: bytes, status: int) -> tuple[Job, ...]:
    """Return the jobs of a task. Raises CloudReplyError."""
    return tuple(_job(fields, status, "data.jobs[].status") for fields in _entries(body, status, "tasks", "jobs"))


def parse_status(body: bytes, status: int, instance_id: str) -> InstanceStatus:
    """Return what an instance does. Raises CloudReplyError."""
    for fields in _entries(body, status, "batch-query-status", "status_results"):
        code = fields.number("status")
        if fields.text("instance_id") == instance_id and code is not None:
            return InstanceStatus(code=int(code))
    raise CloudReplyError(
        f"the status reply has no data.status_results[].status of this instance (HTTP {status})",
        status=status,
        path="data.status_results",
    )


def parse_apps(body: bytes, status: int) -> Page[App]:
    """Return a page of the apps of an instance. Raises CloudReplyError."""
    return _page(body, status, "app-list", _app)


def parse_instances(body: bytes, status: int) -> Page[InstanceInfo]:
    """Return a page of the tenant's instances. Raises CloudReplyError."""
    return _page(body, status, "batch-query", _instance)


def _app(fields: Fields) -> App | None:
    package = fields.text("app_pkg")
    if package is None:
        return None
    return App(
        package=package,
        name=fields.text("app_name"),
        version=fields.text("app_version"),
        icon_url=fields.text("icon_url"),
    )


def _instance(fields: Fields) -> InstanceInfo | None:
    instance_id = fields.text("instance_id")
    if instance_id is None:
        return None
    running = fields.number("running_status")
    return InstanceInfo(
        instance_id=instance_id,
        name=fields.text("instance_name"),
        region=fields.text("region"),
        specification=fields.text("instance_sku"),
        running_status=None if running is None else int(running),
        is_frozen=_flag(fields, "frozen_status"),
        is_logged_in=_flag(fields, "login_status"),
        is_assigned=_flag(fields, "assign_status"),
        assigned_user=fields.text("assign_user"),
    )


def _flag(fields: Fields, name: str) -> bool | None:
    number = fields.number(name)
    return None if number is None else number == 1


def _job(fields: Fields, status: int, path: str) -> Job:
    number = fields.number("status")
    if number is None:
        raise CloudReplyError(f"the reply has no {path} (HTTP {status})", status=status, path=path)
    return Job(
        job_id=fields.text("job_id"),
        status=int(number),
        error_code=_shown(fields.text("error_code"), 80),
        error_msg=_shown(fields.text("error_msg"), _SHOWN_LIMIT),
        output=fields.text("execute_msg") or "",
    )


def _shown(text: str | None, limit: int) -> str | None:
    return None if text is None else str(UntrustedText(text, limit))


def _page(body: bytes, status: int, call: str, read: Callable[[Fields], T | None]) -> Page[T]:
    data = _data(body, status, call)
    total = data.number("total_count")
    found = [entry for fields in _objects(data, "result") if (entry := read(fields)) is not None]
    return Page(entries=tuple(found), total=None if total is None else int(total))


def _entries(body: bytes, status: int, call: str, name: str) -> list[Fields]:
    return _objects(_data(body, status, call), name)


def _objects(data: Fields, name: str) -> list[Fields]:
    return [Fields(entry, f"data.{name}[]", []) for entry in data.entries(name) if isinstance(entry, dict)]


def _data(body: bytes, status: int, call: str) -> Fields:
    """Return the level `data` of a reply; older pages list its fields without it [doc]."""
    try:
        reply = read_fields(body, [])
    except UnreadableJsonError as error:
        raise malformed(call, status, error) from error
    return reply.level("data") or reply
