"""The process: ``streamspot`` and ``python -m streamspot``."""

import os
import sys


def program() -> None:
    """Run the command line and end the process at once.

    Taking torch and MediaPipe apart would cost a second after Ctrl-C, and a capture thread that hangs in a driver
    would never let the process go.
    """
    code: object = 130
    try:  # whatever takes time is imported in here: Ctrl-C may come meanwhile
        import signal  # noqa: PLC0415

        before = signal.getsignal(
            signal.SIGINT
        )  # ignored (``nohup``) or handled by somebody else, it stays so
        if before is signal.default_int_handler:  # numpy's native modules make an ImportError of it
            signal.signal(signal.SIGINT, lambda *_: os._exit(130))
        from streamspot.cli import main  # noqa: PLC0415

        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, before)
        main()
        code = 0
    except SystemExit as leaving:
        code = leaving.code
    except KeyboardInterrupt:
        pass
    for screen in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 - contextlib is not imported yet if Ctrl-C came early
            screen.flush()
        except (AttributeError, OSError, ValueError):
            pass
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    program()
