"""The errors a user may meet: one sentence that names the thing and the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class StreamspotError(Exception):
    """Something the user can mend.

    The message is one sentence that names the offending value and the remedy. The command line prints it
    without a traceback and exits with ``exit_code``.
    """

    exit_code = 1


class SourceError(StreamspotError):
    """A camera, file or address that cannot be read."""


class ModelError(StreamspotError):
    """Weights that are missing, damaged or made for something else."""


class SettingsError(StreamspotError):
    """A setting that does not exist or has an impossible value."""

    exit_code = 2


class BrokerError(StreamspotError):
    """A broker that cannot be reached or refuses us."""


class DataError(StreamspotError):
    """A data set or an annotation that cannot be used; names the file, the row and the remedy."""


def needs(what: str, package: str, extra: str, why: object = "it is not installed") -> str:
    """Return the sentence about a package that is not there, which ends in the command that installs its extra."""
    return f"{what} needs the package {package} ({why}); install it with: pip install 'streamspot[{extra}]'"


def first_few(lines: Sequence[str], more: str = "more", most: int = 8) -> list[str]:
    """Return the first of many lines, and how many others there are."""
    others = [f"… and {len(lines) - most} {more}"] if len(lines) > most else []
    return [*lines[:most], *others]


def cut(text: object, most: int = 60) -> str:
    """Return the start of a text: what a stranger wrote is never repeated whole."""
    whole = str(text)
    return whole if len(whole) <= most else f"{whole[: most - 1]}…"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the remedy for a name that is not known: the one that was meant, or all."""
    close = get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; choose from {', '.join(sorted(known))}"


def unknown(name: str, known: Iterable[str], where: str) -> SettingsError:
    """Return what is raised where a setting of that name is given and there is none."""
    return SettingsError(f"there is no setting {cut(repr(name))}{where}{nearest(name, known)}")
