"""The process: ``streamspot`` and ``python -m streamspot``."""

import os
import sys


def program() -> None:
    """Run the command line and end the process at once.

    Taking torch and MediaPipe apart would cost a second after Ctrl-C, and a capture thread that hangs in a driver
    would never let the process go.
    """
    code: object = 130
    _stand_in()
    try:  # whatever takes time is imported in here: Ctrl-C may come meanwhile
        import signal  # noqa: PLC0415

        before = signal.getsignal(signal.SIGINT)  # ignored (``nohup``), or somebody else's, it stays so
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


def _stand_in() -> None:
    """Take the null device for each standard stream that the process was started without.

    The next file that is opened has its number otherwise, and native libraries write their messages into it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open


if __name__ == "__main__":
    program()
