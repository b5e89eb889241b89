"""What a fleet is to run: its sources with their settings, under names that stay the same wherever they run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from streamspot.credentials import without_secrets
from streamspot.errors import SettingsError
from streamspot.fleet.lease import Lease
from streamspot.settings import Settings
from streamspot.types import STREAM_NAME


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fleet is to run.

    Attributes:
        name: Of the fleet.
        journals: Folder of all journals and of the keeper's table, on storage that outlives a machine.
        sources: Settings of each source, by the name of its stream.
    """

    name: str
    journals: Path
    sources: Mapping[str, Settings]

    @classmethod
    def of(cls, streams: Sequence[Settings]) -> Self:
        """Return the plan that the settings of a run with several sources make.

        Raises:
            SettingsError: Something that a fleet needs is missing, or cannot be had in one.
        """
        first = streams[0]
        if first.name.node is None:
            raise SettingsError("a fleet needs a name; write name: {node: NAME} at the top of its file")
        if first.mqtt.broker in {None, "embedded"}:
            raise SettingsError("a fleet needs a broker; write mqtt: {broker: mqtt://HOST} in its file")
        if first.mqtt.journal is None:
            raise SettingsError(
                "a fleet needs a folder for its journals that every node finds, on storage that outlives a node; "
                "write mqtt: {journal: FOLDER} in its file"
            )
        sources: dict[str, Settings] = {}
        for settings in streams:
            stream = settings.name.stream
            if stream is None or stream in sources:
                raise SettingsError(
                    f"each source of a fleet needs a stream name of its own; write name: {{stream: NAME}} beside "
                    f"source: {without_secrets(settings.source)}"
                )
            if not re.fullmatch(STREAM_NAME, f"{first.name.node}-{stream}"):
                raise SettingsError(
                    f"{first.name.node}-{stream} is too long for a topic; 40 letters are the most"
                )
            given = settings.output.model_dump(exclude_defaults=True)
            if used := given.keys() - {"osc_map", "force"}:
                metrics = min(used).startswith("metrics")
                remedy = "give streamspot fleet --metrics PORT instead" if metrics else "leave it out"
                raise SettingsError(
                    f"{min(used)} is not possible in a fleet, whose results go to the broker; {remedy}"
                )
            sources[stream] = settings
        return cls(first.name.node, first.mqtt.journal, sources)

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> Self:
        """Return what ``dump`` made."""
        sources = {name: Settings.model_validate(one) for name, one in kept["sources"].items()}
        return cls(kept["name"], Path(kept["journals"]), sources)

    def dump(self) -> dict[str, Any]:
        """Return the plan as JSON takes it."""
        sources = {name: settings.model_dump(mode="json") for name, settings in self.sources.items()}
        return {"name": self.name, "journals": str(self.journals), "sources": sources}

    def wanted(self) -> dict[str, tuple[float, str]]:
        """Return cost and version of each source; a face more costs about half of what a camera does."""
        return {name: ((1 + one.face.faces) / 2, version(one)) for name, one in self.sources.items()}

    def node(self, source: str) -> str:
        """Return the node of a source in topics: each is its own, so that the broker tells when it vanishes."""
        return f"{self.name}-{source}"

    def leased(self, lease: Lease, journal: Path) -> Settings:
        """Return the settings that a source runs with under a lease."""
        settings = self.sources[lease.source]
        node = self.node(lease.source)
        # one MQTT session for each source: the broker ends that of an earlier holder; events outlive a power failure
        mqtt = {"journal": journal, "fsync": 0.0, "client_id": f"streamspot-{node}"}
        return settings.model_copy(
            update={
                "name": settings.name.model_copy(update={"node": node, "stream": lease.source}),
                "mqtt": settings.mqtt.model_copy(update=mqtt),
                "output": settings.output.model_copy(update={"metrics": None}),
            }
        )


def version(settings: Settings) -> str:
    """Return what stands for settings; other weights have another name, or stand in another file."""
    return hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:12]
