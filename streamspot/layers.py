"""Where the settings of a run come from: default < file < environment < flag."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamspot.bounds import read_yaml
from streamspot.credentials import VARIABLES, without_secrets
from streamspot.errors import SettingsError, cut, unknown
from streamspot.settings import GROUPS, Settings, build
from streamspot.shipped import settings_file

_PREFIX = "STREAMSPOT_"

_ELSEWHERE = {"STREAMSPOT_DATA", "STREAMSPOT_DEBUG"} | VARIABLES
"""Variables of that prefix that are no setting of a run."""

_OF_A_CLUSTER = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_\w+)?)$")
"""How variables end that Kubernetes sets for a service of a name that begins like those of settings."""

_OF_EACH = {"capture", "face", "motion", "model", "spotting"}
"""Groups whose settings each of several sources may have of its own, and beside them:"""
_OF_EACH_TOO = {"source", "stream", "session", "subject", "intensity", "record", "osc", "osc_map"}


def load_settings(flags: Mapping[str, Any], config: str | Path | None = None) -> Settings:
    """Return the settings of a run with one source, see ``load_streams``.

    Raises:
        SettingsError: As there, or there are several sources.
    """
    first, *others = load_streams(flags, config)
    if others:
        raise SettingsError(f"{config} names {len(others) + 1} sources; name one here")
    return first


def load_streams(flags: Mapping[str, Any], config: str | Path | None = None) -> list[Settings]:
    """Merge the file, the environment (``STREAMSPOT_SOURCE`` …) and the flags that were given, for each source.

    A variable that is empty counts as not set.

    Args:
        flags: Name of a setting to value; None stands for a flag that was not given. ``source`` may be a list.
        config: YAML file, nested as ``Settings`` is, or the name of a shipped one. Its ``source`` may be a list, of
            names or of mappings nested alike, with ``source`` and what holds for that source alone.

    Raises:
        SettingsError: The file cannot be read, a key is unknown, a value impossible, or a setting of the whole run
            stands among those of a source.
    """
    layers: dict[str, dict[str, Any]] = {"the environment": _environment(), "the command line": dict(flags)}
    if config is not None:
        file = settings_file(config)
        layers = {str(file): _flattened(_underscored(read_keys(file)), str(file)), **layers}
        if layers[str(file)].get("source") == []:
            raise SettingsError(f"source in {file} is an empty list; name one, or leave it out")
    sources: list[Any] = [None]
    for layer in layers.values():
        if (named := layer.pop("source", None)) not in (None, [], ()):
            sources = list(named) if isinstance(named, list | tuple) else [named]
            if None in sources:
                raise SettingsError(
                    "a source in the list of sources is empty; name it, or take its line away"
                )
    where, *others = layers if config is not None else ("", *layers)
    streams = []
    for source in sources:
        own = _own(source, where)
        layers_of = {where: layers[where]} if where else {}
        layers_of[f"the settings of {without_secrets(str(own.get('source')))}"] = own
        streams.append(_merged(layers_of | {one: layers[one] for one in others}))
    return streams


def _environment() -> dict[str, str]:
    """Return the settings that variables give."""
    found = {}
    for name, value in os.environ.items():
        if not name.startswith(_PREFIX) or name in _ELSEWHERE or _OF_A_CLUSTER.search(name) or not value:
            continue
        leaf = name.removeprefix(_PREFIX).lower()
        if leaf not in GROUPS:
            raise unknown(leaf, GROUPS, f" (the variable {name})")
        found[leaf] = value
    return found


def _own(source: Any, where: str) -> dict[str, Any]:
    """Return the settings by name that hold for one source alone."""
    if not isinstance(source, Mapping):
        return {} if source is None else {"source": source}
    own = _flattened(_underscored(source), where)
    if own.get("source") in (None, "", []):
        raise SettingsError(f"a source in {where} has no name; begin each with - source: NAME")
    for leaf in own:
        if GROUPS.get(leaf) not in _OF_EACH and leaf in GROUPS and leaf not in _OF_EACH_TOO:
            raise SettingsError(
                f"{leaf} in {where} stands below the source {without_secrets(str(own['source']))} but holds for the "
                "whole run; write it at the top of the file"
            )
    return own


def _merged(layers: Mapping[str, Mapping[str, Any]]) -> Settings:
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for where, layer in layers.items():
        given = {leaf: value for leaf, value in layer.items() if value is not None or leaf not in GROUPS}
        merged |= given
        origin |= dict.fromkeys(given, where)
    return build(merged, origin)


def read_keys(file: Path) -> dict[str, Any]:
    """Return the keys of a file of settings, of a run or of a training.

    Raises:
        SettingsError: It cannot be read, is no YAML or holds no keys.
    """
    try:
        content = read_yaml(file) or {}
    except OSError as error:
        raise SettingsError(
            f"the settings file {file} cannot be read ({error.strerror}); check its name"
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"the settings file {file} is not YAML ({cut(error)}); it holds lines of the form key: value"
        ) from None
    if not isinstance(content, dict):
        raise SettingsError(f"the settings file {file} holds no keys; it holds lines of the form key: value")
    return content


def _flattened(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the leaves of a file's tree by name."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        known = [leaf for leaf, group in GROUPS.items() if group == key]
        if not known and key not in GROUPS:
            raise unknown(key, {*GROUPS, *filter(None, GROUPS.values())}, f" (in {where})")
        if not known and not GROUPS[key]:
            flat[key] = value
        elif not known:
            raise SettingsError(
                f"{key} in {where} belongs into the group {GROUPS[key]}; write it below {GROUPS[key]}:"
            )
        elif not isinstance(value, Mapping):
            raise SettingsError(f"{key} in {where} is a group of settings; write its keys below it, indented")
        else:
            for leaf in value:
                if leaf not in known:
                    raise unknown(str(leaf), known, f" (in {key} of {where})")
            flat |= value
    return flat


def _underscored(content: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key).replace("-", "_"): value for key, value in content.items()}
