"""Passwords: from the environment, a file or the system's keyring, never from a command line, never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from streamspot.errors import SettingsError

MQTT_PASSWORD = "STREAMSPOT_MQTT_PASSWORD"  # noqa: S105 - the name of the variable, not its value
SOURCE_PASSWORD = "STREAMSPOT_SOURCE_PASSWORD"  # noqa: S105
VARIABLES = frozenset(
    f"{name}{ending}" for name in (MQTT_PASSWORD, SOURCE_PASSWORD) for ending in ("", "_FILE")
)
"""Variables that hold passwords, and those that name a file with one."""

_CREDENTIALS = re.compile(r"//\S*@")
_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]*)://[^/\s:@]*:(?!\d{1,5}[/?])\S*@", re.IGNORECASE)
"""An address with a password; digits and a slash behind the colon are a port."""
_KEY, _IS = r"pass(?:word|wd)?|pwd", r"(?:=|%3d)"
_IN_PATH = re.compile(
    rf"([a-z][a-z0-9+.-]*)://\S*[/?&;_](?:{_KEY}){_IS}(?![&;#\s]|_[a-z]+=|$)", re.IGNORECASE
)
"""An address with a password in its path or query, as some cameras take it."""
_PRIVATE = re.compile(rf"[?#]|(?<=[/&;_])(?:user(?:name)?|{_KEY}){_IS}", re.IGNORECASE)
"""Where in an address what comes is nobody's business."""


def redacted(text: str) -> str:
    """Return text with user and password taken out of every address in it.

    A password may hold any character but blanks, so everything up to the last ``@`` of an address goes.
    """
    return _CREDENTIALS.sub("//", text)


def without_secrets(address: str) -> str:
    """Return ``address`` without user, password, query and fragment: all places where secrets stand.

    A password may hold any character, unescaped too, so everything before the last ``@`` goes where a colon may part
    it from the user. Some cameras take user and password in their path: it ends there.
    """
    scheme, separator, rest = address.partition("://")
    if re.match(r"[^\[/?#]*[:@]", rest):
        rest = rest.rpartition("@")[2]
    return scheme + separator + _PRIVATE.split(rest)[0]


def has_password(address: str) -> bool:
    """Tell whether an address holds a password, be it one that makes the address impossible."""
    return _PASSWORD.search(address) is not None


def password_of(variable: str, user: str, host: str) -> str | None:
    """Return a password, None if there is none.

    Asked in turn: the variable, the file that ``<variable>_FILE`` names, the system's keyring (service
    ``streamspot``, name ``user@host``; needs the package keyring).

    Raises:
        SettingsError: The file cannot be read.
    """
    if (password := os.environ.get(variable)) is not None:
        return password
    if name := os.environ.get(f"{variable}_FILE"):
        try:
            return Path(name).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise SettingsError(f"the password file {name} is unreadable ({reason}); name another") from None
    try:
        import keyring  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    try:
        found: str | None = keyring.get_password("streamspot", f"{user}@{host}")
    except keyring.errors.KeyringError:  # there is none on this machine, or it is locked
        return None
    return found


def with_password(address: str) -> str:
    """Return the address of a source with the password of the user that it names, if there is one.

    Raises:
        SettingsError: The file with the password cannot be read.
    """
    parts = urlsplit(address)
    if not parts.username or has_password(address):
        return address
    password = password_of(SOURCE_PASSWORD, parts.username, parts.hostname or "")
    if password is None:
        return address
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}").geturl()


def check_command_line(arguments: Sequence[str]) -> None:
    """Refuse a password of a source where everybody on the machine can read it.

    Raises:
        SettingsError: There is one.
    """
    for argument in arguments:
        found = _PASSWORD.search(argument)
        if found and found[1].lower() not in {
            "mqtt",
            "mqtts",
            "ws",
            "wss",
        }:  # a broker's address says it itself
            raise SettingsError(
                "the command line holds a password, which others on this machine can read; write "
                f"{found[1]}://user@host and put it into the variable {SOURCE_PASSWORD}, or its file's name into "
                f"{SOURCE_PASSWORD}_FILE"
            )
        if _IN_PATH.search(argument):
            raise SettingsError(
                "the command line holds a password, which others on this machine can read; leave --source out and "
                "put the whole address into the variable STREAMSPOT_SOURCE, or into a file of settings as source"
            )
