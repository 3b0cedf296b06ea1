"""The catalogue of XIDs: what each number of NVIDIA's driver means, whose fault it is, and what to do.

Enters: xid.json, one row a code with its public source; meanings are in our own words. Leaves: XidEntry. A number that
is not in the catalogue gets an entry that says so. Severity: critical where the GPU must be reset or is gone, by the
catalogue's own action. Source: https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html.
"""

from __future__ import annotations

import json
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import NamedTuple

from watchkeeper.host.check import CheckSeverity

CATALOGUE_SCHEMA_VERSION = 1


class Origin(StrEnum):
    """Whose fault it mostly is. UNUSED: a number that current GPUs do not report."""

    APPLICATION = "application"
    HARDWARE = "hardware"
    DRIVER = "driver"
    INFORMATION = "information"
    UNUSED = "unused"
    UNKNOWN = "unknown"


ACTIONS: dict[str, str] = {
    "none": "nothing to do",
    "restart_application": "start the application again; the GPU itself goes on",
    "reset_gpu": "take work off the GPU and reset it: sudo nvidia-smi --gpu-reset -i GPU",
    "reset_gpu_when_idle": "reset the GPU at the next quiet hour: sudo nvidia-smi --gpu-reset -i GPU",
    "reboot_node": "take work off the node and reboot it: sudo reboot",
    "restart_virtual_machine": "start the virtual machine again",
    "restart_fabric_manager": "sudo systemctl restart nvidia-fabricmanager",
    "follow_other_xid": "look for the XID just before it: that one is the cause",
    "follow_recovery_action": "do what the line says is needed now (GPU reset, node reboot, drain)",
    "check_application": "run the program under compute-sanitizer or cuda-gdb",
    "check_driver": "look for a newer driver, and report the fault with nvidia-bug-report.sh",
    "check_nvlink": "nvidia-smi nvlink --status && nvidia-smi nvlink --errorcounters; look at both ends of the link",
    "decode_nvlink": "read unit, link and severity from the line; a fatal one needs a GPU reset",
    "check_power": "connect the auxiliary power cables of the board",
    "check_cooling": "look at fans, air flow and inlet temperature",
    "update_software": "bring driver and firmware to a matching pair of versions",
    "turn_ecc_on": "sudo nvidia-smi -e 1 && sudo reboot",
    "run_field_diagnostic": "dcgmi diag -r 3; return the board when errors come back",
    "inspect_hardware": "look at the board, its seat, riser, cables and slot; move it to another slot",
    "replace_when_convenient": "plan to replace the board",
    "watch": "keep watching; act when it comes often",
    "contact_vendor": "ask the vendor's support, with nvidia-bug-report.sh",
}

_REBOOT_MENDS = {
    "none", "restart_application", "reset_gpu", "reset_gpu_when_idle", "reboot_node", "restart_virtual_machine",
    "restart_fabric_manager", "follow_other_xid", "follow_recovery_action", "check_application", "check_driver",
    "check_nvlink", "decode_nvlink",
}  # fmt: skip


class XidEntry(NamedTuple):
    """One code: `action` at once and `then`, both keys of ACTIONS; `source` is the address of its public source."""

    code: int
    name: str
    meaning: str
    origin: Origin
    severity: CheckSeverity
    action: str
    then: str
    source: str

    @property
    def mended_by_reboot(self) -> bool:
        """Tell whether starting the machine again ends the condition."""
        return self.action in _REBOOT_MENDS

    @property
    def advice(self) -> tuple[str, ...]:
        """Give what to do, at once and then, in words."""
        return tuple(dict.fromkeys(ACTIONS[name] for name in (self.action, self.then) if name != "none"))


@cache
def catalogue() -> dict[int, XidEntry]:
    """Read the catalogue: code to entry, by code."""
    data = json.loads(resources.files("watchkeeper.host").joinpath("xid.json").read_text(encoding="utf-8"))
    assert data["schema_version"] == CATALOGUE_SCHEMA_VERSION
    return {
        int(row["code"]): XidEntry(
            int(row["code"]),
            row["name"],
            row["meaning"],
            Origin(row["origin"]),
            CheckSeverity(row["severity"]),
            row["action"],
            row["then"],
            row["source"],
        )
        for row in data["rows"]
    }


def xid_entry(code: int) -> XidEntry:
    """Give the entry of a code; one of origin UNKNOWN for a code that the catalogue does not hold.

    >>> xid_entry(79).action, xid_entry(31).origin.value
    ('reboot_node', 'application')
    """
    known = catalogue().get(code)
    if known is not None:
        return known
    return XidEntry(
        code,
        f"XID_{code}",
        "A code that is not in the catalogue here; a newer driver may report it.",
        Origin.UNKNOWN,
        CheckSeverity.WARNING,
        "contact_vendor",
        "none",
        "https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html",
    )
