"""Small files that are there whole or not at all: images and clips."""

import contextlib
import errno
import os
import stat
import threading
from pathlib import Path
from typing import IO, Final

from streamer.errors import RecordingError

DISK_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def refuse_existing(path: str | os.PathLike[str]) -> None:
    """Raise FileExistsError if there is a file of this name; a link that leads nowhere is none."""
    if Path(path).is_file():
        raise FileExistsError(
            errno.EEXIST, "it exists: give another name, or overwrite it (overwrite=True, --overwrite)", str(path)
        )


def write_whole(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = True) -> None:
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


def check_whole(path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
    """Raise what `write_whole` would raise now; whatever is there stays as it is."""
    place = Path(path).resolve()
    try:
        if not overwrite:
            refuse_existing(path)
        if not place.exists() or place.is_file():
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


def _draft_of(place: Path) -> Path:
    return place.with_name(f".{place.name}.{os.getpid()}-{threading.get_ident()}.part")


def unwritable(path: str | os.PathLike[str], error: OSError) -> RecordingError:
    """Return what an error means to whoever wanted the file."""
    reason = "disk-full" if error.errno in DISK_FULL else "write"
    return RecordingError(f"cannot write {path}: {error.strerror or error}", reason=reason)
