"""The nightly refresh: when it runs, what it leaves behind, and when missed pushes are looked for: the model of
include/refresh.yaml, word for word."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from slipway.catalog.loading import catalog_directory
from slipway.catalog.reading import read
from slipway.catalog.service import Entry
from slipway.errors import CatalogError


def _cron(text: str) -> str:
    from croniter import croniter

    if len(text.split()) != 5 or not croniter.is_valid(text):
        raise PydanticCustomError(
            "cron",
            "`{text}` is no schedule: write five fields, minute hour day month weekday, such as `30 3 * * *`",
            {"text": text[:80]},
        )
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError):  # not found, a folder, or no legal key
        raise PydanticCustomError(
            "zone",
            "`{text}` is no time zone: write its IANA name, such as `Europe/Berlin` or `UTC`",
            {"text": text[:80]},
        ) from None
    return text


Cron = Annotated[str, AfterValidator(_cron)]
Zone = Annotated[str, AfterValidator(_zone)]
Days = Annotated[int, Field(ge=0, le=3_650)]


class Retention(Entry):
    """What is kept. What is deployed, was the last good one, or is being released is kept always."""

    images: Annotated[int, Field(ge=1, le=1_000)] = Field(
        20, description="How many releases of a service keep their image in the registry, the newest."
    )
    workspaces_days: Days = Field(
        14,
        description="Days that the engine keeps volumes of sources and dependencies, and images of wheels.",
    )
    engine_days: Days = Field(
        7, description="Days that the engine keeps its own copies of images, and layers of builds."
    )
    evidence_days: Days = Field(
        90,
        description="Days that the ledger keeps gates' reports and evidence, and the refresh's own reports.",
    )


class Refresh(Entry):
    """The nightly refresh of everything that is deployed, and the look for missed pushes: when they run, and what is kept."""

    schedule: Cron = Field(
        "30 3 * * *",
        min_length=1,
        max_length=100,
        description="When it runs, as cron: minute, hour, day of month, month, day of week.",
    )
    timezone: Zone = Field(
        "UTC", min_length=1, max_length=100, description="Time zone of the schedule, by its IANA name."
    )
    reconcile: Cron = Field(
        "*/10 * * * *",
        min_length=1,
        max_length=100,
        description="When release branches are looked at for commits whose release nobody has started, as cron.",
    )
    retention: Retention = Field(default_factory=Retention, description="What is kept.")


def refresh_file() -> Path:
    """Gives the file of the refresh: `refresh.yaml` beside the catalog's folder of services."""
    return catalog_directory().parent / "refresh.yaml"


def load_refresh(path: Path | str | None = None) -> Refresh:
    """Reads when the refresh runs and what it keeps.

    :param path: the file; None is the catalog's own, and then no file means that everything is as by default.
    :raises CatalogError: with place, what is wrong and the legal alternatives, for each problem in it.
    """
    if path is None and not refresh_file().exists():
        return Refresh()
    return read(Path(path) if path is not None else refresh_file(), Refresh)


def retention_of(asked: Mapping[str, object] | None, kept: Retention) -> Retention:
    """Gives what is kept when somebody asks for something else than the catalog says, for once.

    :param asked: some of the words of `retention`, with other values.
    :raises CatalogError: when a word or a value is wrong.
    """
    try:
        return Retention.model_validate({**kept.model_dump(), **(asked or {})})
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise CatalogError(
            f"The retention that was asked for is wrong: {'; '.join(wrong)}.",
            code="refresh.retention-invalid",
            remedy=f"Its words are {', '.join(Retention.model_fields)}; docs/catalog.md says what each means.",
        ) from None
