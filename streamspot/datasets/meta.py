"""``meta.yaml``: region layout, unit and frame rate of a data set's arrays, where they are not the usual ones."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt, ValidationError

from streamspot.datasets.annotations import MISSING_APEX, MISSING_OFFSET
from streamspot.errors import DataError

# Twelve dlib landmarks, the fifth and sixth pair of which are the two nose points that the flow was
# stabilised with: 18,19,20 | 23,24,25 | 28,30 | 48,51,54,57.
_TWELVE = (0, 1, 2, 3, 4, 5, 8, 9, 10, 11)

# The twelve-column files are in units of 20 px on crops whose inter-ocular distance is about 80 px.
_TWELVE_SCALE = 0.25


class Meta(BaseModel):
    """Contents of ``meta.yaml``; every key may be left out.

    Attributes:
        layout: Region layout of the columns that are kept.
        columns: Columns of the arrays to keep, in the layout's order; all by default.
        scale: Factor from the arrays' unit to inter-ocular distances.
        fps: Frames a second, where ``annotations.csv`` has no such column.
        missing_offset: Frames after the onset at which an instance without an annotated offset ends.
        missing_apex: Frames after the onset at which an apex is assumed that is missing or lies outside.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layout: str = "paper10"
    columns: tuple[int, ...] | None = None
    scale: PositiveFloat = 1.0
    fps: PositiveFloat | None = None
    missing_offset: PositiveInt = MISSING_OFFSET
    missing_apex: PositiveInt = MISSING_APEX


def usual(columns: int) -> Meta:
    """Return what arrays with so many regions mean when nothing is declared."""
    if columns == 12:
        return Meta(columns=_TWELVE, scale=_TWELVE_SCALE)
    if columns == 17:
        return Meta(layout="face17")
    return Meta()


def read_meta(path: Path) -> Meta | None:
    """Read ``meta.yaml``, None where there is no such file.

    Raises:
        DataError: It is no YAML, has an unknown key or an impossible value.
    """
    if not path.exists():
        return None
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return Meta.model_validate(values)
    except yaml.YAMLError as error:
        raise DataError(
            f"{path} is not valid YAML ({str(error).splitlines()[0]}); mend or remove it"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        known = ", ".join(Meta.model_fields)
        raise DataError(f"{path}: {key} is wrong ({first['msg'].lower()}); known keys are {known}") from None
