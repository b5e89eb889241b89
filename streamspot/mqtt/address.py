"""The address of a broker: where it is, how to log in, and how it may be shown."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from streamspot.credentials import MQTT_PASSWORD, has_password, password_of, redacted
from streamspot.errors import SettingsError, cut

_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
_FILES = ("cafile", "certfile", "keyfile")


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how to log in; see ``parse``."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    path: str = "/mqtt"
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    v5: bool = False

    @classmethod
    def parse(cls, url: str) -> Broker:
        """Return the broker of an address.

        ``mqtt[s]://[user@]host[:port]`` or ``ws[s]://[user@]host[:port]/path``; for TLS
        ``?cafile=…&certfile=…&keyfile=…`` name PEM files. ``?version=5`` speaks MQTT 5 instead of 3.1.1,
        which every broker knows. The password comes from STREAMSPOT_MQTT_PASSWORD, see ``password_of``.

        Raises:
            SettingsError: The address makes no sense, or holds a password.
        """
        if not isinstance(url, str):
            raise SettingsError(f"{cut(url)} is no broker address; write mqtt://host:1883")
        url = url if "://" in url else f"mqtt://{url}"
        shown = redacted(url)
        if has_password(url):
            raise SettingsError(
                f"the address {shown} holds a password, which others on this machine could read; write "
                f"mqtt://user@host and put the password into the environment variable {MQTT_PASSWORD}"
            )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise SettingsError(f"{shown!r} is no broker address; write mqtt://host:1883") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise SettingsError(
                f"{shown!r} is no broker address; write mqtt://host:1883, mqtts://, ws:// or wss://"
            )
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        version = query.pop("version", "3.1.1")
        if version not in {"3.1.1", "5"}:
            raise SettingsError(f"{version!r} is no version of MQTT known here; write version=5 or nothing")
        if unknown := sorted(set(query) - set(_FILES)):
            known = ", ".join(("version", *_FILES))
            raise SettingsError(f"a broker address knows no {unknown[0]!r}; choose from {known}")
        if query and parts.scheme not in {"mqtts", "wss"}:
            raise SettingsError(
                f"{shown!r} names certificates but is not encrypted; write mqtts:// or wss://"
            )
        for key, file in query.items():
            if not Path(file).is_file():
                raise SettingsError(f"the {key} {file} does not exist; name a PEM file")
        user = unquote(parts.username) if parts.username else None
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            user=user,
            password=password_of(MQTT_PASSWORD, user, parts.hostname) if user else None,
            path=parts.path or "/mqtt",
            v5=version == "5",
            **query,
        )

    @property
    def address(self) -> str:
        """The address as it may be shown: without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def tls(self) -> ssl.SSLContext | None:
        """Return the TLS context, None for plain connections.

        Raises:
            SettingsError: A certificate cannot be used.
        """
        if self.scheme not in {"mqtts", "wss"}:
            return None
        try:
            context = ssl.create_default_context(cafile=self.cafile)
            if self.certfile:
                context.load_cert_chain(self.certfile, self.keyfile)
        except (ssl.SSLError, OSError) as error:
            raise SettingsError(
                f"the certificates for {self.address} are unusable ({error}); check them"
            ) from None
        return context
