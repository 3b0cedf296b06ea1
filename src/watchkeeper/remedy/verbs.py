"""What a kubectl command does to what: its verb and the kind of resource.

Enters: a command line. Leaves: pairs of verb and kind, such as (`rollout undo`, `deployment`). Reads text alone.
"""

from __future__ import annotations

from watchkeeper.remedy.shell import Call, Unparsable, parse

_TWO_WORDS = ("rollout", "set", "create", "auth", "config", "top", "certificate")
_TAKES_VALUE = ("-n", "--namespace", "-l", "--selector", "-f", "--filename", "-o", "--output", "-c", "--context")
_SHORT = {
    "deploy": "deployment", "svc": "service", "po": "pod", "cm": "configmap", "sts": "statefulset", "ns": "namespace",
    "hpa": "horizontalpodautoscaler", "pvc": "persistentvolumeclaim", "netpol": "networkpolicy", "ds": "daemonset",
    "no": "node", "ing": "ingress", "quota": "resourcequota", "rs": "replicaset",
}  # fmt: skip


def kubectl_verbs(command: str) -> tuple[tuple[str, str], ...]:
    """Give verb and kind of each kubectl call; () when there is none or it cannot be parsed.

    >>> kubectl_verbs("kubectl -n shop rollout undo deployment/ad")
    (('rollout undo', 'deployment'),)
    >>> kubectl_verbs("kubectl get pods")
    (('get', 'pod'),)
    """
    try:
        calls = parse(command).calls
    except Unparsable:
        return ()
    return tuple(pair for call in calls if call.utility == "kubectl" and (pair := _pair(call, command)) is not None)


def _pair(call: Call, command: str) -> tuple[str, str] | None:
    words = _without_values(call, command)
    if not words:
        return None
    if words[0] in _TWO_WORDS and len(words) > 1:
        verb, rest = " ".join(words[:2]), words[2:]
    else:
        verb, rest = words[0], words[1:]
    kind = rest[0].split("/")[0].split(".")[0].lower() if rest else ""
    kind = _SHORT.get(kind, kind)
    if kind.endswith("ies"):
        kind = f"{kind[:-3]}y"
    elif kind.endswith("s") and not kind.endswith(("ss", "chaos")):
        kind = kind[:-1]
    return verb, kind


def _without_values(call: Call, command: str) -> list[str]:
    """Give the arguments without those that belong to a flag before them."""
    data = command.encode()
    kept = []
    for argument in call.arguments:
        before = data[: argument.start].decode("utf-8", "replace").rstrip(" '\"").rsplit(" ", 1)[-1]
        if before not in _TAKES_VALUE:
            kept.append(argument.value)
    return kept
