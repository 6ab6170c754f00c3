"""`streamer` and `python -m streamer` begin here, before the half second that importing the rest takes."""

import io
import os
import signal
import sys

_INTERRUPTED = 130  # as `streamer.cli.exit_codes.MEANINGS` says


def main() -> None:
    """Run the command line. While it has nothing open, Ctrl-C, SIGTERM and SIGHUP end it at once; when it is done, they
    do nothing more. A SIGHUP that `nohup` has ignored stays so.
    """
    _on_signals(lambda *_: os._exit(_INTERRUPTED))
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # asks a recording for a screenshot: it ends nothing at any time
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a code page may lack what is shown
    from streamer import cli  # noqa: PLC0415 - see above

    try:
        cli.app()
    except BrokenPipeError:  # the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains when it ends
        sys.exit(1)
    finally:
        _on_signals(signal.SIG_IGN)  # or they would end the interpreter while it ends, with a code of their own


def _on_signals(handler: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", None)):
        if number is not None and not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN):
            signal.signal(number, handler)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
