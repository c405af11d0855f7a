"""The folder of DAG files, as Airflow's dag-processor watches it: parsed again when what the DAGs are made of has changed.

A DAG file of ours is a few lines that never change; what its DAG is stands in the catalog and in this package. Without this,
Airflow would see a change there only by parsing every file every few seconds. It is named by `[dag_processor]
dag_bundle_config_list`, beside a long `min_file_process_interval`. Nothing else of Slipway is imported here: what the
dag-processor has imported it would never see change.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.local import LocalDagBundle

_SUFFIXES = (".py", ".yaml", ".yml")


class WatchingBundle(LocalDagBundle):
    """A folder of DAG files that are parsed again when a file below one of ``watched`` has changed.

    :param watched: folders; without any, the one that holds this package and the catalog, and the catalog's if it is elsewhere.
    """

    def __init__(self, *, watched: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        elsewhere = os.environ.get("SLIPWAY_CATALOG")
        usual = [str(Path(__file__).parents[1]), *([elsewhere] if elsewhere else [])]
        self._watched = [Path(one) for one in watched or usual]
        self._state: str | None = None
        self._once_more = False

    def refresh(self) -> None:
        """Look whether anything has changed; Airflow calls it every `refresh_interval`."""
        super().refresh()
        state = state_of(self._watched)
        changed = self._state is not None and state != self._state
        if changed or self._once_more:
            ask_for_all(self.name, self.path)
        # a file that was being parsed when it was asked for is left out
        self._once_more, self._state = changed, state


def state_of(folders: Sequence[Path]) -> str:
    """Give a hash of names, sizes and times of the code and YAML below folders: another one if any of it has changed."""
    digest = hashlib.sha256()
    for folder in folders:
        for file in _files(folder):
            try:
                seen = file.stat()
            except OSError:  # removed meanwhile: the next look sees that
                continue
            digest.update(f"{file}\0{seen.st_size}\0{seen.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if one != "__pycache__")
        yield from (Path(at, name) for name in sorted(names) if name.endswith(_SUFFIXES))


def ask_for_all(bundle: str, folder: Path) -> None:
    """Ask the dag-processor to parse each file of a bundle as soon as it can, as the button of Airflow's UI does."""
    from airflow.configuration import conf
    from airflow.models.dagbag import DagPriorityParsingRequest as Request
    from airflow.utils.file import list_py_file_paths
    from airflow.utils.session import create_session
    from sqlalchemy import select

    found = list_py_file_paths(folder, safe_mode=conf.getboolean("core", "dag_discovery_safe_mode"))
    wanted = {str(Path(file).relative_to(folder)) for file in found}
    with create_session() as session:
        asked = session.scalars(select(Request.relative_fileloc).where(Request.bundle_name == bundle))
        for file in sorted(wanted - set(asked)):
            session.add(Request(bundle_name=bundle, relative_fileloc=file))
    print(f"what the DAGs are made of has changed: {len(wanted)} files are parsed again")
