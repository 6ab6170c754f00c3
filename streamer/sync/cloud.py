"""Written by tests/support/sync_faces.py from the async face: `make sync` writes it again."""

import collections.abc
import os
import ssl
import typing

import streamer
from streamer.sync.apps import AnimationsOff, Apps
from streamer.sync.face import Face, Owner
from streamer.sync.loop_thread import begin_use


class CloudPhone(Face[streamer.CloudPhone]):
    """A phone as the API reaches it, without a stream. `Cloud.phone` makes it.

    A call that changes something and has no clear answer raises CloudUnclearError; it is never repeated by itself.
    Other calls are repeated. Every call raises a CloudError, and ConfigurationError for a wrong argument.
    """

    @property
    def instance_id(self) -> str:
        """The phone's instance id."""
        return self._async.instance_id

    def status(self) -> streamer.InstanceStatus:
        """Return what the phone does."""
        return self._wait(self._async.status)

    def reboot(self) -> None:
        """Reboot the phone. It begins at once; ask `status` for when it is over."""
        self._wait(self._async.reboot)

    def reset(self, *, timeout_s: float = 900.0) -> None:
        """Put the phone back to its factory state, and wait until that is done. All apps and data on it are lost.

        Args:
            timeout_s: How long it may take, in seconds.

        Raises:
            JobFailedError: The reset failed.
            CloudUnclearError: It may have begun, or it is not over yet.
        """
        self._wait(self._async.reset, timeout_s=timeout_s)

    def set_video(self, *, fps: int = 60, bitrate_kbps: int = 4000) -> None:
        """Set how the phone encodes its screen, for every resolution and network.

        Args:
            fps: Frames a second: 30 or 60 [doc].
            bitrate_kbps: The bit rate in kbit/s, from 100 to 10000 in steps of 100 [doc]. The API sets both at once.
        """
        self._wait(self._async.set_video, fps=fps, bitrate_kbps=bitrate_kbps)

    @property
    def apps(self) -> Apps:
        """The apps of the phone."""
        return Apps(self._async.apps, self)

    def shell(self, command: str, *, wait_s: float | None = None) -> streamer.ShellResult:
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
        return self._wait(self._async.shell, command, wait_s=wait_s)

    def disable_animations(self) -> AnimationsOff:
        """Return a context manager: within its block the phone's windows and views do not animate.

        It reads three settings, sets those that are not 0, and puts them back when the block is left. These are up to
        nine commands, which wait for the limit of the API.
        """
        return AnimationsOff(self._do(self._async.disable_animations), self)


class Cloud(Owner[streamer.Cloud]):
    """The calls of the API that need no stream: apps, shell, state, lists. Use it with `with`.

    It disturbs no stream. Any thread may use it.

    Args:
        endpoint: The API's base URL, as `connect` takes it.
        credentials: Who the tenant is, as `connect` takes it. Everything that shares this object shares the limit of
            commands, too.
        verify: How TLS certificates are verified, as `connect` takes it.
        timeout_s: How long one call may take, in seconds. A command may take 40 s.
        calls_per_minute: How many commands a minute are sent with these credentials. None leaves it as it is: 6 at
            first, which is what the vendor allows in a sister product [assumed].

    Raises:
        ConfigurationError: An argument is wrong.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        credentials: streamer.Credentials | str,
        verify: bool | ssl.SSLContext | str | os.PathLike[str] = True,
        timeout_s: float = 10.0,
        calls_per_minute: int | None = None,
    ) -> None:
        super().__init__(
            streamer.Cloud(
                endpoint=endpoint,
                credentials=credentials,
                verify=verify,
                timeout_s=timeout_s,
                calls_per_minute=calls_per_minute,
            ),
            begin_use(),
        )

    def __enter__(self) -> typing.Self:
        self._wait(self._async.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def close(self) -> None:
        """Close the connections to the API."""
        self._close()

    def phone(self, instance_id: str) -> CloudPhone:
        """Return a phone by its instance id; nothing is asked yet."""
        return CloudPhone(self._do(self._async.phone, instance_id), self)

    def list(self, *, limit: int = 1000) -> collections.abc.Sequence[streamer.InstanceInfo]:
        """Return the instances of the tenant.

        Args:
            limit: How many at most.

        Raises:
            CloudError: The API failed or refused.
        """
        return self._wait(self._async.list, limit=limit)

    def task(self, task_id: str) -> collections.abc.Sequence[streamer.Job]:
        """Return how far a task is, such as one that a CloudUnclearError names.

        Args:
            task_id: The vendor's id of the task.

        Raises:
            CloudError: The API failed or refused, such as for an unknown task.
        """
        return self._wait(self._async.task, task_id)
