"""Written by tests/support/sync_faces.py from the async face: `make sync` writes it again."""

import collections.abc
import typing

import streamer
from streamer.sync.face import Face


class Apps(Face[streamer.Apps]):
    """The apps of a phone. The commands wait for each other, as those of `shell` do, and raise what it raises."""

    def start(self, package: str, *, activity: str | None = None) -> None:
        """Start an app, or bring it to the front.

        Args:
            package: The package's name, such as com.example.shop.
            activity: The activity, such as ".Main"; None is the one that the launcher starts.

        Raises:
            JobFailedError: There is no such app or activity.
        """
        self._wait(self._async.start, package, activity=activity)

    def stop(self, package: str) -> None:
        """End an app. An app that does not run stays so.

        Args:
            package: The package's name.
        """
        self._wait(self._async.stop, package)

    def clear(self, package: str) -> None:
        """End an app and delete its data: the reset between tests.

        Args:
            package: The package's name.

        Raises:
            JobFailedError: There is no such app.
        """
        self._wait(self._async.clear, package)

    def grant(self, package: str, permission: str) -> None:
        """Give an app a permission, so that it does not ask.

        Args:
            package: The package's name.
            permission: Such as android.permission.CAMERA.

        Raises:
            JobFailedError: There is no such app, or it does not ask for this permission.
        """
        self._wait(self._async.grant, package, permission)

    def install(
        self, *, url: str, package: str, version: str, size_mb: float, md5: str | None = None, timeout_s: float = 600.0
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
        self._wait(
            self._async.install,
            url=url,
            package=package,
            version=version,
            size_mb=size_mb,
            md5=md5,
            timeout_s=timeout_s,
        )

    def uninstall(self, package: str) -> None:
        """Remove an app.

        Args:
            package: The package's name.

        Raises:
            JobFailedError: There is no such app, or it cannot be removed.
        """
        self._wait(self._async.uninstall, package)

    def list(self, *, is_system: bool | None = None, limit: int = 1000) -> collections.abc.Sequence[streamer.App]:
        """Return the apps that are installed.

        Args:
            is_system: Only those of the system, or only others; None is all.
            limit: How many at most.
        """
        return self._wait(self._async.list, is_system=is_system, limit=limit)


class AnimationsOff(Face[streamer.AnimationsOff]):
    """What `disable_animations` returns. Use it with `with`, once."""

    def __enter__(self) -> typing.Self:
        self._wait(self._async.__aenter__)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self._wait(self._async.__aexit__, _kind, error, _traceback)
