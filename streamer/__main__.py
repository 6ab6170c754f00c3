"""`streamer` and `python -m streamer` begin here, before the half second that importing the rest takes."""

import os
import signal

_INTERRUPTED = 130  # as `streamer.cli.running.EPILOG` says


def main() -> None:
    """Run the command line. While it has nothing open, Ctrl-C, SIGTERM and SIGHUP end it at once; when it is done, they
    do nothing more. A SIGHUP that `nohup` has ignored stays so.
    """
    _on_signals(lambda *_: os._exit(_INTERRUPTED))
    from streamer import cli  # noqa: PLC0415 - see above

    try:
        cli.app()
    finally:
        _on_signals(signal.SIG_IGN)  # or they would end the interpreter while it ends, with a code of their own


def _on_signals(handler: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", None)):
        if number is not None and not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN):
            signal.signal(number, handler)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
