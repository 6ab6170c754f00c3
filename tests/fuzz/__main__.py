"""Fuzz with coverage in view: python -m tests.fuzz SECONDS [TARGET …] (by default every target).

The corpus holds what Chromium and the embedded phone sent, libavformat's packets of small pictures, and a few messages
written by hand. Each target runs in a process of its own under atheris, from the corpus and from what earlier runs left
in `.fuzz/`. An input that breaks a target's law is kept there, and named at the end.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

CORPUS: Final = Path(__file__).with_name("corpus")
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
    failed = [name for name in names if not _run(name, seconds)]
    print(f"the law is broken in: {', '.join(failed)}; see {FOUND}/" if failed else "every target keeps the law")
    return 1 if failed else 0


def _run(name: str, seconds: int) -> bool:
    found, crashes = FOUND / name, FOUND / f"{name}-broken"
    found.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(exist_ok=True)
    seeds = CORPUS / name
    print(f"=== {name}: {seconds} s", flush=True)
    command = [
        *(sys.executable, "-m", "tests.fuzz", "--one", name, str(found), *([str(seeds)] if seeds.exists() else [])),
        *(f"-max_total_time={seconds}", f"-max_len={INPUT_LIMIT}", f"-rss_limit_mb={MEMORY_LIMIT_MB}"),
        *(f"-timeout={HANG_S}", f"-artifact_prefix={crashes}/", "-print_final_stats=1", "-verbosity=0"),
    ]
    return subprocess.run(command, check=False).returncode == 0


def _fuzz(name: str, arguments: list[str]) -> None:
    import atheris  # noqa: PLC0415 - only here is it needed

    with atheris.instrument_imports(include=["streamer", "aiortc.sdp", "aiortc.rtcpeerconnection"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
