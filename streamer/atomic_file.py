"""Files that are there whole or not at all (images and clips), and files that one recording has to itself."""

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
    """Return what a name means now: the working directory may change before it is used."""
    return Path(path).absolute()


def refuse_existing(path: str | os.PathLike[str]) -> None:
    """Raise FileExistsError if there is a file of this name; a dangling link does not count."""
    if Path(path).is_file():
        raise FileExistsError(
            errno.EEXIST, "the file exists: choose another name, or pass overwrite=True (--overwrite)", str(path)
        )


def write_atomically(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = True) -> None:
    """Write a file beside its place and put it there; what was there before stays until then, or if that fails.

    A pipe or a device is written into as it is. Raises RecordingError, also for a file that exists and that
    `overwrite` does not give up.
    """
    place = Path(path).resolve()  # a link goes on pointing to it
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
    """Raise what `write_atomically` would raise now; whatever is there stays as it is."""
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
    """Open a new file that is to take another's place: who may not read that one may not read it either.

    A file of its name that is there already is taken away, and a link is never followed. Raises OSError.
    """
    draft.unlink(missing_ok=True)
    mode = stat.S_IMODE(place.stat().st_mode) if place.exists() else 0o666
    return open(draft, "xb", buffering, opener=lambda path, flags: os.open(path, flags, mode))  # less what umask takes


def open_locked(path: Path, *, is_new: bool, empty: bool = True) -> IO[bytes]:
    """Open a file for writing, without a buffer, which nobody else opens so until it is closed, in any process.

    `is_new` says that it must not be there yet; `empty` that what is in it goes. Raises FileExistsError, and
    BlockingIOError if somebody has it open.
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
        file.close()  # another file took its place in between


def _refuse_locked(place: Path) -> None:
    """Raise BlockingIOError if a recording is written into a file."""
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
