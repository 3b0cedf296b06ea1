"""How a node's own health is told as log records: the names that the teller and whoever reads them share.

A record of scope SCOPE is what hardware, driver or kernel say of themselves, not what somebody concludes. TROUBLE names
the trouble that a record is about, and the heartbeat of every look lists in TROUBLES those that go on, so that a reader
knows when one is over. Sends and reads nothing.
"""

from __future__ import annotations

NODE_SERVICE = "watchkeeper-node"
"""The service under which every node tells of itself: one name on all nodes, so it ties no two of them together."""
SCOPE = "watchkeeper.host"
HEARTBEAT = "host.health"
TROUBLE = "watchkeeper.trouble"
TROUBLES = "watchkeeper.troubles"
CHECK_ID = "watchkeeper.check.id"
EVENT_KIND = "watchkeeper.event.kind"
EVENT_ORIGIN = "watchkeeper.event.origin"
ADVICE = "watchkeeper.advice"
REPORTED = "node.reported"
"""The kind of a finding made of such a record."""


def trouble_name(check_id: str, device: str) -> str:
    """Name a trouble of a device, "" for the host itself.

    >>> trouble_name("gpu.xid", "GPU-1"), trouble_name("host.read_only", "")
    ('gpu.xid|GPU-1', 'host.read_only|')
    """
    return f"{check_id}|{device}"
