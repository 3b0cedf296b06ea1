"""A detector's state on disk: NAME.json for what is small and named, NAME.npz for the arrays.

Both are written beside the old ones and then put in their place, the JSON last; a stamp in both tells that they belong
together. Enters and leaves: plain data and arrays. Knows nothing of what they mean.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from watchkeeper.errors import NewerFormat, StoreError

Arrays = dict[str, npt.NDArray[np.generic]]
DAMAGED = (OSError, EOFError, KeyError, ValueError, TypeError, IndexError, zipfile.BadZipFile)


class Kept(NamedTuple):
    """What the two files hold."""

    document: dict[str, Any]
    arrays: Arrays


class StateFiles(NamedTuple):
    """The two files of one detector. name: of both, such as "logs". version: what is written, and the newest read."""

    name: str
    version: int

    def write(self, folder: Path, document: dict[str, Any], arrays: Arrays) -> None:
        """Write both; a reader sees the old pair, the new one, or one that `read` tells apart. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        stamp = int.from_bytes(os.urandom(4), "little")
        partial = folder / f"{self.name}.{os.getpid()}.partial"
        with partial.open("wb") as file:
            np.savez(file, stamp=np.array([stamp]), **arrays)  # type: ignore[arg-type]
        partial.replace(folder / f"{self.name}.npz")
        told = {"schema_version": self.version, "stamp": stamp, **document}
        partial.write_bytes(orjson.dumps(told, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY))
        partial.replace(folder / f"{self.name}.json")

    def read(self, folder: Path) -> Kept:
        """Read both; raises StoreError, or NewerFormat of a newer version."""
        with self.understood(folder):
            document = orjson.loads((folder / f"{self.name}.json").read_bytes())
            version = document["schema_version"]
            if version > self.version:
                raise NewerFormat(
                    f"{folder}/{self.name}.json was written by a newer Watchkeeper (version {version}, this one reads "
                    f"{self.version}); upgrade, or delete the folder to learn anew"
                )
            with (folder / f"{self.name}.npz").open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = dict(archive)
            if int(arrays["stamp"][0]) != document["stamp"]:
                raise ValueError(f"{self.name}.json and {self.name}.npz were not written together")
            return Kept(document, arrays)

    @contextmanager
    def understood(self, folder: Path) -> Iterator[None]:
        """Raise StoreError in place of what damaged content leads to, while it is read or taken up."""
        try:
            yield
        except StoreError:
            raise
        except DAMAGED as error:
            raise StoreError(
                f"the {self.name.removesuffix('s')} detector's state in {folder} cannot be read: {error}; delete the "
                "folder to learn anew"
            ) from error
