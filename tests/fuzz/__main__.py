"""Fuzz with coverage in view: python -m tests.fuzz SECONDS [TARGET …] (by default every target).

The corpus holds what Chromium and the emulator sent, libavformat's packets of small frames, and a few messages
written by hand. Each target runs in a process of its own under atheris, as many at once as there are cores, from the
corpus and from what earlier runs left in `.fuzz/`. Each has its log there, and an input that breaks a target's law is
kept beside it.
"""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from tests.support.corpus import CORPUS

FOUND: Final = Path(".fuzz")
INPUT_LIMIT: Final = 16384  # bytes
MEMORY_LIMIT_MB: Final = 1024
HANG_S: Final = 10


def main() -> int:
    """Run the targets, or the one that this process is for; return the exit code."""
    if sys.argv[1:2] == ["--one"]:
        _fuzz(sys.argv[2], sys.argv[3:])
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - in the other case it is imported instrumented

    seconds, names = int(sys.argv[1]), sys.argv[2:] or list(TARGETS)
    if seconds < 1 or not TARGETS.keys() >= set(names):
        print(f"expected one second or more, and of the targets: {' '.join(TARGETS)}")
        return 2
    print("| target | inputs tried | kept for what they reach | slowest | law |\n|---|---:|---:|---:|---|", flush=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        kept = list(pool.map(partial(_run, seconds), names))
    return 0 if all(kept) else 1


def _run(seconds: int, name: str) -> bool:
    """Fuzz one target in a process of its own; print its row, and return whether it kept the law."""
    found, crashes, log = FOUND / name, FOUND / f"{name}-broken", FOUND / f"{name}.log"
    found.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(exist_ok=True)
    command = [
        *(sys.executable, "-m", "tests.fuzz", "--one", name, str(found), str(CORPUS / name)),
        *(f"-max_total_time={seconds}", f"-max_len={INPUT_LIMIT}", f"-rss_limit_mb={MEMORY_LIMIT_MB}"),
        *(f"-timeout={HANG_S}", f"-artifact_prefix={crashes}/", "-print_final_stats=1", "-verbosity=0"),
    ]
    with log.open("w", encoding="utf-8") as output:
        kept = subprocess.run(command, check=False, stdout=output, stderr=subprocess.STDOUT).returncode == 0
    figures = dict(re.findall(r"stat::(\w+): +(\d+)", log.read_text(encoding="utf-8", errors="replace")))
    tried, new, slowest = (
        figures.get(name, "?") for name in ("number_of_executed_units", "new_units_added", "slowest_unit_time_sec")
    )
    print(f"| {name} | {tried} | {new} | {slowest} s | {'kept' if kept else f'**broken**: see {log}'} |", flush=True)
    return kept


def _fuzz(name: str, arguments: list[str]) -> None:
    import atheris  # noqa: PLC0415 - only here is it needed

    with atheris.instrument_imports(
        include=["streamer", "aiortc.sdp", "aiortc.rtcpeerconnection", "aiortc.rtcsctptransport"]
    ):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
