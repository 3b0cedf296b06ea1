"""How grave a template sounds, for records that carry no severity: read from its words. Knows nothing else."""

from __future__ import annotations

import re

from watchkeeper.detect.service import SEVERITY_ERROR, SEVERITY_WARN

_GRAVE = re.compile(
    r"\b(?:error|errors|fail|fails|failed|failure|fatal|panic|critical|exception|traceback|abort|aborted|"
    r"refused|denied|unreachable|corrupt|corrupted|crash|crashed|segfault|oom-killer|out of memory)\b|"
    r"[a-z](?:Error|Exception)\b",
    re.IGNORECASE,
)
_WARNING = re.compile(r"\b(?:warn|warning|timeout|timed out|retry|retrying|slow|degraded|deprecated)\b", re.IGNORECASE)
_NONE = re.compile(r"\b(?:no|0|without|zero) (?:errors?|failures?|warnings?)\b", re.IGNORECASE)


def implied_severity(template: str) -> int:
    """Give the OTLP severity number that a template's words suggest, 0 for none.

    >>> implied_severity("cannot open <*>: permission denied"), implied_severity("done, 0 errors")
    (17, 0)
    """
    text = _NONE.sub("", template)
    if _GRAVE.search(text):
        return SEVERITY_ERROR
    return SEVERITY_WARN if _WARNING.search(text) else 0
