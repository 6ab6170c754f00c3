"""A phone as the API reaches it, without a stream: its apps, its shell, its state."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Self, TypeVar

from streamer.aio import within
from streamer.cloud import android, calls
from streamer.cloud.android import ANIMATION_SCALES, AppCommand
from streamer.cloud.call_rate import Polling
from streamer.cloud.calls import PAGE_SIZE, Call
from streamer.cloud.client import CloudClient
from streamer.cloud.results import App, InstanceStatus, Job, Page, ShellResult, Task
from streamer.errors import (
    CloudError,
    CloudUnclearError,
    CloudUnreachableError,
    ConfigurationError,
    JobFailedError,
    StreamerError,
)
from streamer.own_loop import OwnLoop
from streamer.untrusted_text import UntrustedText

T = TypeVar("T")

_logger = logging.getLogger("streamer.cloud")

LIST_LIMIT: Final = 1000  # entries of a list, unless more are asked for
POLL_LIMIT_S: Final = 10.0  # for one answer about a job


class PhoneCalls:
    """The calls for one phone, in the loop that its owner belongs to."""

    def __init__(self, cloud: CloudClient, instance_id: str, loop: OwnLoop) -> None:
        self.instance_id = instance_id
        self._cloud = cloud
        self._loop = loop

    async def make(self, call: Call[T]) -> T:
        """Make a call. Raises as `CloudClient.call`."""
        self._loop.check()
        return await self._cloud.call(call)

    async def run(self, command: str, *, changes: str | None = "command") -> Job:
        """Run a command; `changes` is what it changes, for people, None if nothing. Raises as `CloudPhone.shell`."""
        job = await self.make(calls.sync_command(self.instance_id, command, changes=changes))
        if not job.is_over:
            raise CloudUnclearError(f"the {changes or 'command'} did not end in time: use wait_s for a slow command")
        return _succeeded(job, changes or "command")

    async def run_to_end(self, call: Call[Task], timeout_s: float) -> Job:
        """Begin a task and wait for its end. Raises JobFailedError, or CloudUnclearError with the id of the task."""
        what = call.changes or "task"
        if not timeout_s > 0:
            raise ConfigurationError(f"expected a time limit above 0, got {timeout_s}")
        task = await self.make(call)
        polling = Polling(time.monotonic(), timeout_s)
        problem: CloudError | None = None
        while (delay_s := polling.next_delay(time.monotonic())) is not None:
            await asyncio.sleep(delay_s)
            try:
                async with within(POLL_LIMIT_S, lambda: CloudUnreachableError("timed out")):
                    job = task.job_of(await self.make(calls.task(task.task_id)))
            except CloudError as error:
                problem = error
                if not error.retryable:
                    break
                continue
            problem = None
            if job is not None and job.is_over:
                return _succeeded(job, what)
        why = f"cannot be followed: {problem}" if problem else f"did not end within {timeout_s:g} s"
        raise CloudUnclearError(
            f"the {what} was begun (task {task.task_id}) and {why}", task_id=task.task_id
        ) from problem


class ShellAndApps:
    """What a UI test needs of a phone besides its stream."""

    _phone_calls: PhoneCalls

    @property
    def apps(self) -> "Apps":
        """The apps of the phone."""
        return Apps(self._phone_calls)

    async def shell(self, command: str, *, wait_s: float | None = None) -> ShellResult:
        """Run a command of the phone's shell, and return what it printed.

        Commands with the same credentials wait for each other: the API takes a few a minute.

        Args:
            command: At most 1024 letters, digits, spaces and `_ . / : -`; the API carries no other signs [doc].
            wait_s: How long to wait for a slow command, in seconds. The API then runs it in the background, and is
                asked for the result. The last answer may take 10 s more. None is for commands that end within two
                seconds or so.

        Raises:
            ConfigurationError: The API cannot carry the command; the sign is named. Nothing was sent.
            JobFailedError: The command failed.
            CloudUnclearError: The command may have run. It may still run, if `wait_s` was too short.
        """
        if wait_s is None:
            job = await self._phone_calls.run(command)
        else:
            job = await self._phone_calls.run_to_end(
                calls.async_command(self._phone_calls.instance_id, command), wait_s
            )
        return ShellResult(output=job.output, is_cut=job.is_cut, job=None if wait_s is None else job.job_id)

    def disable_animations(self) -> "AnimationsOff":
        """Return an async context manager: within its block the phone's windows and views do not animate.

        It reads three settings, sets those that are not 0, and puts them back when the block is left. These are up to
        nine commands, which wait for the limit of the API.
        """
        return AnimationsOff(self._phone_calls)


class CloudPhone(ShellAndApps):
    """A phone as the API reaches it, without a stream. `Cloud.phone` makes it.

    A call that changes something and has no clear answer raises CloudUnclearError; it is never repeated by itself.
    Other calls are repeated. Every call raises a CloudError, and ConfigurationError for a wrong argument or in another
    event loop.
    """

    def __init__(self, cloud: CloudClient, instance_id: str, loop: OwnLoop) -> None:
        self._phone_calls = PhoneCalls(cloud, instance_id, loop)

    @property
    def instance_id(self) -> str:
        """The phone's instance id."""
        return self._phone_calls.instance_id

    async def status(self) -> InstanceStatus:
        """Return what the phone does."""
        return await self._phone_calls.make(calls.status_of(self.instance_id))

    async def reboot(self) -> None:
        """Reboot the phone. It begins at once; ask `status` for when it is over."""
        await self._phone_calls.make(calls.reboot(self.instance_id))

    async def reset(self, *, timeout_s: float = 900.0) -> None:
        """Put the phone back to its factory state, and wait until that is done. All apps and data on it are lost.

        Args:
            timeout_s: How long it may take, in seconds.

        Raises:
            JobFailedError: The reset failed.
            CloudUnclearError: It may have begun, or it is not over yet.
        """
        await self._phone_calls.run_to_end(calls.reset(self.instance_id), timeout_s)

    async def set_video(self, *, fps: int = 60, bitrate_kbps: int = 4000) -> None:
        """Set how the phone encodes its screen, for every resolution and network.

        Args:
            fps: Frames a second: 30 or 60 [doc].
            bitrate_kbps: The bit rate in kbit/s, from 100 to 10000 in steps of 100 [doc]. The API sets both at once.
        """
        await self._phone_calls.make(calls.set_video(self.instance_id, fps=fps, bitrate_kbps=bitrate_kbps))


class Apps:
    """The apps of a phone. The commands wait for each other, as those of `shell` do, and raise what it raises."""

    def __init__(self, phone: PhoneCalls) -> None:
        self._phone = phone

    async def start(self, package: str, *, activity: str | None = None) -> None:
        """Start an app, or bring it to the front.

        Args:
            package: The package's name, such as com.example.shop.
            activity: The activity, such as ".Main"; None is the one that the launcher starts.

        Raises:
            JobFailedError: There is no such app or activity.
        """
        await self._run(android.start(package, activity))

    async def stop(self, package: str) -> None:
        """End an app. An app that does not run stays so.

        Args:
            package: The package's name.
        """
        await self._run(android.stop(package))

    async def clear(self, package: str) -> None:
        """End an app and delete its data: the reset between tests.

        Args:
            package: The package's name.

        Raises:
            JobFailedError: There is no such app.
        """
        await self._run(android.clear(package))

    async def grant(self, package: str, permission: str) -> None:
        """Give an app a permission, so that it does not ask.

        Args:
            package: The package's name.
            permission: Such as android.permission.CAMERA.

        Raises:
            JobFailedError: There is no such app, or it does not ask for this permission.
        """
        await self._run(android.grant(package, permission))

    async def install(
        self,
        *,
        url: str,
        package: str,
        version: str,
        size_mb: float,
        md5: str | None = None,
        timeout_s: float = 600.0,
    ) -> None:
        """Install an app from object storage, and wait until that is done.

        Args:
            url: Where the vendor downloads the APK: an object of OBS, at most 2000 characters. It may hold a signature.
            package: The package's name, such as com.example.shop.
            version: The version's name, such as 3.2.
            size_mb: How large the APK is, in megabytes.
            md5: The MD5 of the APK; None leaves it out.
            timeout_s: How long it may take, in seconds.

        Raises:
            JobFailedError: The installation failed.
            CloudUnclearError: It may have begun, or it is not over yet.
        """
        call = calls.install(
            self._phone.instance_id, url=url, package=package, version=version, size_mb=size_mb, md5=md5
        )
        await self._phone.run_to_end(call, timeout_s)

    async def uninstall(self, package: str) -> None:
        """Remove an app.

        Args:
            package: The package's name.

        Raises:
            JobFailedError: There is no such app, or it cannot be removed.
        """
        await self._run(android.uninstall(package))

    async def list(self, *, is_system: bool | None = None, limit: int = LIST_LIMIT) -> Sequence[App]:
        """Return the apps that are installed.

        Args:
            is_system: Only those of the system, or only others; None is all.
            limit: How many at most.
        """
        instance_id = self._phone.instance_id
        return await all_pages(
            lambda page: self._phone.make(calls.apps(instance_id, page, is_system=is_system)), limit=limit
        )

    async def _run(self, command: AppCommand) -> None:
        job = await self._phone.run(command.text, changes=command.what)
        if command.has_failed(job.output):
            raise _failure(job, command.what)


class AnimationsOff:
    """What `disable_animations` returns. Use it with `async with`, once."""

    def __init__(self, phone: PhoneCalls) -> None:
        self._phone = phone
        self._before: dict[str, str | None] = {}  # of those that were set

    async def __aenter__(self) -> Self:
        try:
            for name in ANIMATION_SCALES:
                job = await self._phone.run(android.get_scale(name), changes=None)
                before = android.read_scale(job.output)
                if before is None or float(before):
                    self._before[name] = before  # an unclear answer may have set it
                    await self._phone.run(android.set_scale(name, "0"), changes="setting")
        except BaseException:
            with contextlib.suppress(StreamerError):
                await self._put_back()
            raise
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        try:
            await self._put_back()
        except StreamerError as problem:
            if error is None:
                raise
            _logger.warning("= the animations of %s stay off: %s", self._phone.instance_id, problem)

    async def _put_back(self) -> None:
        problem: StreamerError | None = None
        while self._before:
            name, before = self._before.popitem()
            try:
                await self._phone.run(android.set_scale(name, before), changes="setting")
            except StreamerError as error:
                problem = error
        if problem is not None:
            raise problem


async def all_pages(ask: Callable[[int], Awaitable[Page[T]]], *, limit: int) -> Sequence[T]:
    """Return the entries of all pages, `limit` at most. `ask` gets a page by its number; the first is 1."""
    if limit < 1:
        raise ConfigurationError(f"expected limit of at least 1, got {limit}")
    found: list[T] = []
    for number in range(1, -(-limit // PAGE_SIZE) + 1):
        page = await ask(number)
        found += page.entries
        is_last = len(page.entries) < PAGE_SIZE if page.total is None else len(found) >= page.total
        if is_last or not page.entries:
            break
    return found[:limit]


def _succeeded(job: Job, what: str) -> Job:
    if job.has_failed:
        raise _failure(job, what)
    return job


def _failure(job: Job, what: str) -> JobFailedError:
    code = None if job.error_code == "0" else job.error_code
    said = [part for part in (job.error_msg, str(UntrustedText(job.output.strip()))) if part]
    return JobFailedError(
        f"the {what} failed{f' (code {code})' if code else ''}: {'; '.join(said) or 'no reason given'}",
        error_code=code,
        error_msg=job.error_msg,
        output=job.output,
    )
