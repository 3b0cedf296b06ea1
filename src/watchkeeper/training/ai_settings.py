"""The settings of the training gateway: who trains, on which machines, from which pretrained kinds; the object store.

Enters: plain data, checked. Leaves: AiSettings, kept in SQLite, and the same without its secret for whoever asks. These
are the settings that the gateway's operations change while it runs; those of the program are in settings.py.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field

from watchkeeper.errors import QueryError
from watchkeeper.store.metadata import Metadata
from watchkeeper.training.object_store import ObjectStore, ObjectStoreState, open_object_store
from watchkeeper.training.requests import Request, read

SCHEMA_VERSION = 1
KINDS_MAX = 100
SHOWN_SECRET = ""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS ai_settings (id INTEGER PRIMARY KEY CHECK (id = 1), document TEXT NOT NULL) STRICT",
)
NOT_CONFIGURED = ObjectStoreState("not configured", "no object store is set", 0)


class PretrainedModel(Request):
    """One pretrained kind: whether it scores lines, and a threshold in place of the one calibrated with its model."""

    enabled: bool = True
    threshold: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="A line of a new form is strange where less than this share of its words is foretold among "
            "the 50 best guesses; null leaves the threshold that was calibrated with the kind's model.",
        ),
    ] = None


class ObjectStoreSettings(Request):
    """Where copies of published models go."""

    url: Annotated[
        str,
        Field(
            max_length=500,
            description="`file:///folder`, or `http(s)://host[:port]/bucket[/prefix]` of a server that speaks S3.",
            examples=["https://s3.eu-central-1.amazonaws.com/models/watchkeeper"],
        ),
    ]
    region: Annotated[str, Field(max_length=100)] = "us-east-1"
    access_key: Annotated[str, Field(max_length=200)] = ""
    secret_key: Annotated[
        str,
        Field(
            max_length=500,
            description="Never given back. Left out for the same url and access key, the one that is kept stays.",
        ),
    ] = ""


Kind = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class AiSettings(Request):
    """All of them; what is left out of a PUT is as by default."""

    gpu_runtime_class: Annotated[
        str,
        Field(
            max_length=253,
            pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$",
            description="RuntimeClass of Kubernetes for pods that train on a GPU; a remote trainer is told of it.",
        ),
    ] = ""
    replicas: Annotated[int, Field(ge=1, le=1000, description="Pods that a remote trainer may use at once.")] = 1
    trainer: Annotated[
        Literal["local", "remote"],
        Field(description="`local` trains in a process of this program; `remote` waits for another to report."),
    ] = "local"
    pretrained_models: Annotated[dict[Kind, PretrainedModel], Field(max_length=KINDS_MAX, default_factory=dict)]
    object_store: ObjectStoreSettings | None = None


class AiSettingsStore:
    """Keeps the settings; safe to use from any thread. Callbacks run after each change."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._lock = threading.Lock()
        self._told: list[Callable[[AiSettings], None]] = []
        metadata.ensure("ai_settings", 1, _SCHEMA)

    def on_change(self, callback: Callable[[AiSettings], None]) -> None:
        """Call this with the settings after each change."""
        self._told.append(callback)

    def get(self) -> AiSettings:
        """Give the settings, as by default where none were put."""
        return self._kept() or AiSettings(pretrained_models={})

    def is_set(self) -> bool:
        """Tell whether any were put."""
        return self._kept() is not None

    def put(self, settings: AiSettings) -> None:
        """Keep the settings whole; raises QueryError for an object store that cannot be one."""
        with self._lock:
            settings = _with_known_secret(settings, self.get())
            if settings.object_store is not None:
                object_store_of(settings)
            document = json.dumps({"schema_version": SCHEMA_VERSION, **settings.model_dump()})
            self._metadata.write("INSERT OR REPLACE INTO ai_settings VALUES (1, ?)", [document])
        self._tell()

    def delete(self) -> bool:
        """Go back to the defaults; tells whether there was anything to delete."""
        with self._lock:
            deleted = self._metadata.write("DELETE FROM ai_settings") > 0
        self._tell()
        return deleted

    def object_store_state(self) -> ObjectStoreState:
        """Ask the object store how it is; "not configured" where there is none. Blocks for a few seconds at most."""
        store = object_store_of(self.get())
        return store.state() if store else NOT_CONFIGURED

    def _kept(self) -> AiSettings | None:
        rows = self._metadata.read("SELECT document FROM ai_settings")
        if not rows:
            return None
        document = json.loads(rows[0]["document"])
        known = {name: value for name, value in document.items() if name in AiSettings.model_fields}
        return read(AiSettings, known)

    def _tell(self) -> None:
        settings = self.get()
        for callback in self._told:
            callback(settings)


def shown(settings: AiSettings) -> dict[str, Any]:
    """Give the settings for whoever asks: without the secret key, and whether there is one."""
    data = settings.model_dump()
    if settings.object_store is not None:
        data["object_store"]["secret_key"] = SHOWN_SECRET
        data["object_store"]["secret_key_is_set"] = bool(settings.object_store.secret_key)
    return data


def object_store_of(settings: AiSettings) -> ObjectStore | None:
    """Give the object store that is set, or None; raises QueryError for an address that cannot be."""
    said = settings.object_store
    if said is None:
        return None
    return open_object_store(said.url, region=said.region, access_key=said.access_key, secret_key=said.secret_key)


def _with_known_secret(settings: AiSettings, before: AiSettings) -> AiSettings:
    said, known = settings.object_store, before.object_store
    if said is None or said.secret_key or known is None or not known.secret_key:
        return settings
    # A secret is only ever sent to the server that it was given for.
    if (said.url, said.access_key) != (known.url, known.access_key):
        raise QueryError("another object store or access key needs its own secret_key; give it as well")
    return settings.model_copy(update={"object_store": said.model_copy(update={"secret_key": known.secret_key})})
