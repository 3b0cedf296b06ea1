"""How grave a template sounds, for records that carry no severity: read from its words. Knows nothing else."""

from __future__ import annotations

import re

from watchkeeper.detect.parts import SEVERITY_ERROR, SEVERITY_WARN

_GRAVE = re.compile(
    r"\b(?:errors?|fails?|failed|failing|failures?|fatal|panic|critical|emergency|exceptions?|traceback|aborts?|aborted|"
    r"abnormal|abnormally|refused|denied|unreachable|unavailable|inaccessible|corrupt|corrupted|corruption|crash|crashes|"
    r"crashed|segfault|deadlock|unrecoverable|uncorrectable|malfunction|terminated|killed|died|lost|severed|broken|"
    r"oom-killer|out of memory)\b|[a-z](?:Error|Exception)\b",
    re.IGNORECASE,
)
_WARNING = re.compile(
    r"\b(?:warn|warning|timeout|timed out|retry|retrying|slow|degraded|deprecated|invalid|missing|rejected|cannot|"
    r"can not|could not|unable|unexpected|not found|not accessible|reset|disconnected|exceeded|exceeds|faults?|faulty|"
    r"overflow)\b",
    re.IGNORECASE,
)
_NONE = re.compile(
    r"\b(?:no|0|without|zero) (?:errors?|failures?|warnings?)\b|"
    r"\b(?:errors?|failures?|exceptions?|warnings?)\s*(?:[:=]|\.{2,})\s*0\b",
    re.IGNORECASE,
)
_MENDED = re.compile(r"\b(?:corrected|correcting|recovered|repaired|resolved|restored)\b", re.IGNORECASE)


def implied_severity(template: str) -> int:
    """Give the OTLP severity number that a template's words suggest, 0 for none.

    A fault that the line says is mended counts as a warning.

    >>> implied_severity("cannot open <*>: permission denied"), implied_severity("done, 0 errors")
    (17, 0)
    >>> implied_severity("<*> memory errors corrected"), implied_severity("retries: 3, failures: 0")
    (13, 0)
    """
    text = _NONE.sub("", template)
    if _GRAVE.search(text):
        return SEVERITY_WARN if _MENDED.search(text) else SEVERITY_ERROR
    return SEVERITY_WARN if _WARNING.search(text) else 0
