"""The command line: what a user types, and the one sentence that answers a mistake."""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from typing import Annotated

import typer

from streamspot import __version__
from streamspot.cli import data, fleet, inspect, live, results, review, training
from streamspot.credentials import check_command_line
from streamspot.errors import StreamspotError, cut

app = typer.Typer(
    name="streamspot",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"streamspot {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show tracebacks and native libraries' messages; anywhere on the line."),
    ] = False,
) -> None:
    """Facial-expression spotting as a live stream: onset, apex and offset events of facial movement."""


for part in (live, results, review, inspect, data, training, fleet):
    app.registered_commands += part.app.registered_commands


def main() -> None:
    """Run the command line; a mistake ends in one sentence on stderr and an exit code that is not 0."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv = [argument for argument in sys.argv if argument != "--debug"]
        os.environ["STREAMSPOT_DEBUG"] = "1"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no text
    try:
        check_command_line(sys.argv)
        code = app(standalone_mode=False)
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # noqa: BLE001 - no traceback reaches a user
        if debug:
            traceback.print_exc()
        sentence, code = _answer(error)
        sentence = "\n".join(cut(line, _LINE) for line in sentence.splitlines())
        if sentence:  # none where the help was printed because no command was given
            print(f"streamspot: {sentence}", file=sys.stderr)  # noqa: T201 - the answer
    if code:
        sys.exit(code)


def _answer(error: Exception) -> tuple[str, int]:
    """Return what to say about an error, and the exit code."""
    if isinstance(error, StreamspotError):
        return str(error), error.exit_code
    if isinstance(error, _MISUSE):
        where = getattr(getattr(error, "ctx", None), "command_path", "streamspot")
        sentence = error.format_message().strip().rstrip(".")  # type: ignore[attr-defined]
        if "extra argument" in sentence:
            sentence = (
                f"{cut(sentence, _GIST)} (options have names: --source clip.mp4; a pattern stands in quotation "
                "marks: 'videos/*.mp4')"
            )
        return f"{sentence[:1].lower()}{sentence[1:]}; see {where} --help" if sentence else "", 2
    if isinstance(error, OSError) and isinstance(error.filename, str):
        reason = (error.strerror or type(error).__name__).lower()
        return f"{cut(error.filename)} cannot be used ({reason}); name another file", 1
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the output is full (no space left); free some space, or write to another place", 1
    return f"unexpected {type(error).__name__}: {error}; run again with --debug and report what it shows", 70


_LINE = 600
"""Characters of a line of an answer: paths are shorter, and what is longer was not written for a reader."""
_GIST = 120
"""Characters of what does not belong on a line: a shell may have put a thousand names there."""
_MISUSE = typer.BadParameter.__mro__[2]
"""A line that cannot be parsed: click's ClickException, of click itself or of the copy that typer carries."""
