"""The command line, and programs, in processes that have imported the package already.

Importing takes a second of a slow core, and hundreds of tests run a command or a program. One process for each worker
imports everything once; for each command it forks. The command is a process of its own all the same, and a child of the
test's: `subprocess` and asyncio treat it like any other. What a command does before it has imported its modules needs
the interpreter itself: such tests run `python -m streamer`.

The interpreter takes all modules apart when it ends. In a forked process that copies most of its memory, so a command
(`-m`) takes apart only what is its own: the modules that it imported and those of this package. A program (`-c`) ends
as any other.
"""

import asyncio
import atexit
import builtins
import contextlib
import ctypes
import functools
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_IS_POSSIBLE: Final = sys.platform == "linux"
_PREPARED: Final = "python, prepared"
PYTHON: Final = (_PREPARED,) if _IS_POSSIBLE else (sys.executable,)  # it takes -W, and -c, -m or a file
COMMAND: Final = (*PYTHON, "-m", "streamer")
_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
_INHERITED: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)  # where they are ignored
_LONGEST_REQUEST: Final = 1 << 20
_LONGEST_ID: Final = 64
_is_on = False  # whether `subprocess` takes `PYTHON`


def python() -> tuple[str, ...]:
    """Return `PYTHON` where `subprocess` takes it, as in tests, else the interpreter."""
    return PYTHON if _is_on else (sys.executable,)


@contextlib.contextmanager
def prepared_commands() -> Iterator[None]:
    """Let `subprocess` take `PYTHON` as a program."""
    global _is_on  # noqa: PLW0603 - so is `subprocess`
    execute = subprocess.Popen._execute_child  # type: ignore[attr-defined]
    asking = threading.Lock()  # else two threads could get each other's process
    with contextlib.ExitStack() as stack:
        forker = functools.cache(lambda: stack.enter_context(_forker()))

        def execute_or_fork(process: Any, args: Any, *rest: Any) -> None:
            if args[0] != _PREPARED:
                execute(process, args, *rest)
                return
            # Python 3.11 to 3.13 hand over: executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo,
            # creationflags, shell, the pipes (an end of the command's, one of ours, ...), and what nobody uses here.
            cwd, env, pipes = rest[4], rest[5], rest[9:15]
            request = {
                "words": args[1:],
                "cwd": str(cwd or Path.cwd()),
                "env": dict(os.environ if env is None else env),
                "ignored": [number for number in _INHERITED if signal.getsignal(number) == signal.SIG_IGN],
            }
            streams = [fd if fd != -1 else number for number, fd in enumerate((pipes[0], pipes[3], pipes[5]))]
            with asking:
                socket.send_fds(forker(), [json.dumps(request).encode()], streams)
                process.pid = int(forker().recv(_LONGEST_ID))
            process._child_created = True
            process._close_pipe_fds(*pipes)

        stack.callback(setattr, subprocess.Popen, "_execute_child", execute)
        subprocess.Popen._execute_child = execute_or_fork  # type: ignore[attr-defined]
        _is_on = True
        yield
        _is_on = False


@contextlib.contextmanager
def _forker() -> Iterator[socket.socket]:
    """Yield the way to the process that forks."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # grandchildren become children when their parent ends
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", __name__, str(theirs.fileno())]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()]), ours:  # it ends when the way to it is closed
        theirs.close()
        yield ours


def _serve(asker: socket.socket) -> dict[str, Any]:
    """Fork for each request, until the asker is gone. Return the request in the process that is to do it."""
    import typer.main  # noqa: PLC0415

    from streamer import sync, tls  # noqa: F401, PLC0415
    from streamer.cli import app, audio, cloud, demo, frames, info, recording  # noqa: F401, PLC0415

    asyncio.run(tls.context_from(True))  # it reads the authorities once
    record = typer.main.get_group(app).commands["record"]
    record.make_context("record", ["any", "-o", "a.mp4"])  # with the first options, typer imports what reads them
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: F401, PLC0415
    for name in [name for name in sys.modules if name.startswith("streamer.cli")]:
        del sys.modules[name]  # its consoles look at the environment: each command makes its own
    gc.freeze()
    while True:
        message, streams, *_ = socket.recv_fds(asker, _LONGEST_REQUEST, 3)
        if not message:
            raise SystemExit
        read_end, write_end = os.pipe()
        if (between := _fork_quietly()) == 0:
            if (pid := _fork_quietly()) == 0:
                asker.close()
                for number, fd in enumerate(streams):
                    os.dup2(fd, number)
                for fd in (*streams, read_end, write_end):
                    os.close(fd)
                request: dict[str, Any] = json.loads(message)
                return request
            os.write(write_end, str(pid).encode())
            os._exit(0)
        os.waitpid(between, 0)  # the command's parent is the asker now
        asker.send(os.read(read_end, _LONGEST_ID))
        for fd in (*streams, read_end, write_end):
            os.close(fd)


def _fork_quietly() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # threads of numpy's, which end with a fork
        return os.fork()


def _become(words: list[str], cwd: str, env: dict[str, str], ignored: list[int]) -> list[str]:
    """Be as the interpreter is before it begins with a program; return its arguments."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    if env.keys() & {"SSL_CERT_FILE", "SSL_CERT_DIR"}:
        sys.modules["streamer.tls"]._default_context.cache_clear()
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    return words


def _run(words: list[str]) -> None:
    """Do what the interpreter does with these arguments."""
    while words[0] == "-W":
        action, _, category = words[1].partition("::")
        warnings.simplefilter(action, getattr(builtins, category or "Warning"))  # type: ignore[arg-type]
        words = words[2:]
    if not words[0].startswith("-"):
        sys.argv, sys.path[0] = words, str(Path(words[0]).parent)
        runpy.run_path(words[0], run_name="__main__")
        return
    kind, program, *sys.argv[1:] = words
    if kind == "-m":
        with _ending_quickly(set(sys.modules)):
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        sys.argv[0] = kind
        sys.modules["__main__"] = module = types.ModuleType("__main__")
        exec(program, vars(module))


@contextlib.contextmanager
def _ending_quickly(prepared: set[str]) -> Iterator[None]:
    """End the process after the block as the interpreter does, but leave the prepared modules of others whole."""
    code: object = None
    try:
        yield
    except SystemExit as end:
        code = end.code
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    status = code if isinstance(code, int) else int(code is not None)
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        sys.exit(status)  # the interpreter has something to say about it
    own = [name for name in sys.modules if name not in prepared or name.partition(".")[0] == "streamer"]
    for facts in [vars(sys.modules.pop(name)) for name in own]:
        for name in sorted(facts.keys() - {"__builtins__"}, key=lambda name: not name.startswith("_")):
            facts[name] = None
    gc.collect()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _run(_become(**_serve(socket.socket(fileno=int(sys.argv[1])))))
