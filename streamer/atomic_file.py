"""Writes files completely or not at all (images and clips), and locks files for one recording."""

import contextlib
import errno
import os
import stat
import sys
import threading
from pathlib import Path
from typing import IO, Final

from streamer.errors import RecordingError

if sys.platform != "win32":
    import fcntl

DISK_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a name now: the working directory may change before it is used."""
    return Path(path).absolute()


def refuse_existing(path: str | os.PathLike[str]) -> None:
    """Raise FileExistsError if a file of this name exists. A dangling link does not count."""
    if Path(path).is_file():
        raise FileExistsError(
            errno.EEXIST, "the file exists: choose another name, or pass overwrite=True (--overwrite)", str(path)
        )


def write_atomically(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = True) -> None:
    """Write a temporary file next to `path`, and replace `path` with it. If that fails, an old file stays.

    A pipe or a device is written to directly. Raises RecordingError, also if the file exists and `overwrite` is false.
    """
    place = Path(path).resolve()  # a symbolic link keeps pointing to it
    try:
        if not overwrite:
            refuse_existing(path)
        if place.exists() and not place.is_file():
            place.write_bytes(data)
            return
        _refuse_locked(place)
        draft = _draft_of(place)
        try:
            with open_draft(draft, place) as file:
                file.write(data)
            draft.replace(place)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise unwritable(path, error) from error


def check_writable(path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
    """Raise what `write_atomically` would raise now, and change nothing."""
    place = Path(path).resolve()
    try:
        if not overwrite:
            refuse_existing(path)
        if not place.exists() or place.is_file():
            _refuse_locked(place)
            draft = _draft_of(place)
            open_draft(draft, place).close()
            draft.unlink()
        elif place.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        raise unwritable(path, error) from error


def open_draft(draft: Path, place: Path, *, buffering: int = -1) -> IO[bytes]:
    """Open a new file that will replace `place`. It has the same permissions.

    An existing file with the name of the draft is removed; a link is never followed. Raises OSError.
    """
    draft.unlink(missing_ok=True)
    mode = stat.S_IMODE(place.stat().st_mode) if place.exists() else 0o666
    return open(draft, "xb", buffering, opener=lambda path, flags: os.open(path, flags, mode))  # minus the umask


def open_locked(path: Path, *, is_new: bool, empty: bool = True) -> IO[bytes]:
    """Open a file for unbuffered writing, and lock it against other recordings, in any process, until it is closed.

    With `is_new` it must not exist yet. `empty` removes its contents. Raises FileExistsError, and BlockingIOError if a
    recording has it open.
    """
    flags = os.O_CREAT | (os.O_EXCL if is_new else 0)
    while True:
        file = open(  # noqa: SIM115 - the caller closes it
            path, "wb", 0, opener=lambda name, asked: os.open(name, asked & ~os.O_TRUNC | flags, 0o666)
        )
        try:
            _lock(file.fileno(), path)
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                if empty:
                    file.truncate()
                return file
        except FileNotFoundError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()  # another file replaced it in between


def _refuse_locked(place: Path) -> None:
    """Raise BlockingIOError if a recording has the file open."""
    with contextlib.suppress(FileNotFoundError, PermissionError), place.open("rb") as file:
        _lock(file.fileno(), place)


def _lock(descriptor: int, path: Path) -> None:
    """Lock an open file until it is closed, if its file system has locks. Raises BlockingIOError."""
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(error.errno, "another recording is writing to it", str(path)) from None
        except OSError:
            pass


def _draft_of(place: Path) -> Path:
    return place.with_name(f".{place.name}.{os.getpid()}-{threading.get_ident()}.part")


def unwritable(path: str | os.PathLike[str], error: OSError, *, reason: str = "") -> RecordingError:
    """Return the error that the caller gets for this one; its reason is "disk-full" or "write" if none is given."""
    directory = Path(path).parent
    is_missing = isinstance(error, FileNotFoundError) and not directory.exists()
    why = f"there is no directory {directory}: create it" if is_missing else error.strerror or error
    reason = reason or ("disk-full" if error.errno in DISK_FULL else "write")
    return RecordingError(f"cannot write {path}: {why}", reason=reason)
