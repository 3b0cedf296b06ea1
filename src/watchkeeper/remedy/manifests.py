"""Reads Kubernetes manifests and checks what can be checked without a cluster.

Enters: YAML text. Leaves: objects, complaints about each, and fields as (path, value). Checked: one apiVersion of the
form GROUP/VERSION, a kind, a DNS-1123 name, labels of strings; for pods and what has pod templates: containers with
names and images, known volume mounts, selectors that match the template's labels; for Services: ports; of other kinds
the common part alone. Not the whole OpenAPI schema. Needs the extra `remediation`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from watchkeeper.errors import MissingExtra, WatchkeeperError

BYTES_MAX = 200_000
_VERSION = re.compile(r"([a-z0-9.-]+/)?v\d+((alpha|beta)\d+)?")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{1,62}")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.:-]{0,251}[a-z0-9])?")
_TEMPLATED = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")
_SELECTED = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


class NotYaml(WatchkeeperError):
    """A text that is no YAML, or no mapping."""


def read_manifests(text: str) -> list[dict[str, Any]]:
    """Give the objects of a YAML text; raises NotYaml, or MissingExtra where PyYAML is not installed."""
    try:
        import yaml
    except ImportError as error:
        raise MissingExtra("manifests need PyYAML; install it with: pip install 'watchkeeper[remediation]'") from error
    if len(text) > BYTES_MAX:
        raise NotYaml(f"a manifest has at most {BYTES_MAX} characters, not {len(text)}")
    try:
        objects = [each for each in yaml.safe_load_all(text) if each is not None]
    except yaml.YAMLError as error:
        raise NotYaml(f"this is no YAML: {str(error)[:200]}") from error
    if not objects or not all(isinstance(each, dict) for each in objects):
        raise NotYaml("a manifest is a mapping")
    return objects


def write_manifest(manifest: Mapping[str, Any]) -> str:
    """Give an object as YAML, keys in order."""
    import yaml

    return str(yaml.safe_dump(dict(manifest), sort_keys=True))


def complaints(manifest: Mapping[str, Any]) -> list[str]:
    """Give what is wrong with an object, [] when nothing that is checked is.

    >>> complaints({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": []}})
    ['spec.containers is a list of at least one']
    """
    told: list[str] = []
    if not _VERSION.fullmatch(str(manifest.get("apiVersion", ""))):
        told.append(f"apiVersion {manifest.get('apiVersion')!r} is none")
    if not _KIND.fullmatch(str(manifest.get("kind", ""))):
        told.append(f"kind {manifest.get('kind')!r} is none")
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict) or not _NAME.fullmatch(str(metadata.get("name", ""))):
        return [*told, "metadata.name is missing or no DNS-1123 name"]
    for key in ("labels", "annotations"):
        texts = metadata.get(key, {})
        if not isinstance(texts, dict) or not all(isinstance(value, str) for value in texts.values()):
            told.append(f"metadata.{key} maps texts to texts")
    kind, spec = manifest.get("kind"), manifest.get("spec")
    if kind in ("Pod", "Service", *_TEMPLATED):
        if not isinstance(spec, dict):
            return [*told, "spec is missing"]
        told += _pod(spec, "spec") if kind == "Pod" else _service(spec) if kind == "Service" else _templated(kind, spec)
    return told


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Give every field as (path, value as text); items of lists have their place in the path."""
    if isinstance(value, dict) and value:
        for key in sorted(value, key=str):
            yield from leaves(value[key], f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for at, each in enumerate(value):
            yield from leaves(each, f"{path}[{at}]")
    else:
        yield path, str(value)


def _pod(spec: Mapping[str, Any], at: str) -> list[str]:
    containers = spec.get("containers")
    if not isinstance(containers, list) or not containers:
        return [f"{at}.containers is a list of at least one"]
    volumes = {str(each.get("name")) for each in spec.get("volumes") or [] if isinstance(each, dict)}
    told, names = [], []
    for number, each in enumerate([*containers, *(spec.get("initContainers") or [])]):
        if not isinstance(each, dict) or not each.get("name") or not each.get("image"):
            told.append(f"container {number} of {at} has no name or no image")
            continue
        names.append(each["name"])
        told += [
            f"a volume mount of {each['name']} has no path or no volume"
            for mount in each.get("volumeMounts") or []
            if not isinstance(mount, dict) or not mount.get("mountPath") or str(mount.get("name")) not in volumes
        ]
    if len(set(names)) != len(names):
        told.append(f"two containers of {at} have the same name")
    return told


def _templated(kind: str, spec: Mapping[str, Any]) -> list[str]:
    template = spec.get("template")
    if not isinstance(template, dict) or not isinstance(template.get("spec"), dict):
        return ["spec.template.spec is missing"]
    told = _pod(template["spec"], "spec.template.spec")
    wanted = (spec.get("selector") or {}).get("matchLabels") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if kind in _SELECTED and (not spec.get("selector") or any(labels.get(key) != wanted[key] for key in wanted)):
        told.append("spec.selector does not match the labels of the template")
    return told


def _service(spec: Mapping[str, Any]) -> list[str]:
    ports = spec.get("ports")
    if spec.get("type") == "ExternalName":
        return []
    if not isinstance(ports, list) or not ports:
        return ["spec.ports is a list of at least one"]
    return [
        f"port {each!r} is none"
        for each in ports
        if not isinstance(each, dict) or not isinstance(each.get("port"), int) or not 0 < each["port"] < 65_536
    ]
