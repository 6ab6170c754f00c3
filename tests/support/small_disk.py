"""A file system that is soon full. Linux only, for root."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(kilobytes: int) -> Iterator[Path]:
    """Give a directory that holds so much. Raises OSError if it cannot be mounted."""
    with tempfile.TemporaryDirectory() as name:
        told = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", name],
            capture_output=True,
            text=True,
            check=False,
        )
        if told.returncode:
            raise OSError(f"a small file system cannot be mounted: {told.stderr.strip()}")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", name], check=True)
