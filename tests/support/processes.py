"""Measured programs run as processes of their own and speak JSON lines; what a process uses is read from /proc."""

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.prepared import python


class Child:
    """A module run as a process. Leaving the block ends it: its input is closed, and after ten seconds it is killed."""

    def __init__(self, module: str, *arguments: str, cores: set[int] | None = None) -> None:
        self._process = subprocess.Popen(
            [*python(), "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if cores is not None:
            os.sched_setaffinity(self._process.pid, cores)

    def hear(self) -> Any:
        """Return the next message. Raises SystemExit if there is none: a benchmark without its peer is over."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SystemExit(f"{self._process.args!r} ended without an answer")
        return json.loads(line)

    def tell(self, message: Any) -> None:
        """Send a message."""
        if self._process.stdin:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def kill(self) -> float:
        """Kill it at once; return when that was (monotonic seconds)."""
        killed_at = time.monotonic()
        self._process.kill()
        self._process.wait()
        return killed_at

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def say(message: Any) -> None:
    """As a child: send a message."""
    print(json.dumps(message), flush=True)


async def listen() -> Any:
    """As a child: wait for the next message; None at the end of the input."""
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    return json.loads(line) if line else None


@dataclass(frozen=True, slots=True)
class Usage:
    """What this process holds."""

    rss_kb: int
    peak_kb: int
    threads: int
    files: int


def usage() -> Usage:
    """Return what this process holds now; `getrusage` would count the parent's peak, from before `exec`."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    values = {
        name: value.split()[0]
        for name, _, value in (line.partition(":") for line in status.splitlines())
        if value.split()
    }
    return Usage(
        rss_kb=int(values["VmRSS"]),
        peak_kb=int(values["VmHWM"]),
        threads=int(values["Threads"]),
        files=sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1,  # one of them lists the others
    )
