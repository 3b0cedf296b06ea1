"""Safe next steps by category: what to look at first. Every step only reads; none changes anything.

Plain data in the field's common practice; no commands, for where they run differs. Knows no incident.
"""

from __future__ import annotations

from watchkeeper.diagnose.base import Category

STEPS: dict[Category, tuple[str, ...]] = {
    Category.APPLICATION: (
        "Read the exception's stack in the cited log lines or spans, and find the operation that raises it.",
        "Compare the failing requests with those that succeed: same version, same input, same caller?",
    ),
    Category.CPU: (
        "Look at processor use and throttling of the cause against its limits and its traffic.",
        "See whether other work on the same host rose at the same time.",
    ),
    Category.MEMORY: (
        "Look at memory use against the limit since the last restart: a steady rise is a leak, a jump is load.",
        "Count restarts and out-of-memory kills of the cause in the incident's hours.",
    ),
    Category.DISK: (
        "Look at free space and free inodes of the volume, and which directory grew.",
        "See whether logs, temporary files or a queue on disk grew since the baseline.",
    ),
    Category.NETWORK: (
        "Compare what callers waited with what callees worked, for each pair of hosts: which link is slow?",
        "Look at retransmissions, dropped packets and name resolution times on both ends.",
    ),
    Category.DEPENDENCY: (
        "Look at the dependency's own health, saturation and limits at the time of the onset.",
        "See whether all of its callers fail or only this one.",
    ),
    Category.CHANGE: (
        "Compare what was deployed or configured before and after the cited change.",
        "See whether instances with the earlier version or configuration are healthy.",
    ),
    Category.DATA: (
        "Find the first record that failed, and where it came from.",
        "Compare the shape of the input (schema, size, missing fields) with that of the day before.",
    ),
    Category.GPU: (
        "Read the driver's XID and ECC messages of the device, and its temperature and power.",
        "See whether jobs on the same device failed before.",
    ),
    Category.STORAGE_DEVICE: (
        "Read the device's SMART values and the kernel's messages about it.",
        "See whether the file system was mounted read-only.",
    ),
    Category.HOST: (
        "See whether the host answers, when it last restarted, and what its hardware log says.",
        "List what runs on that host, and whether all of it suffers.",
    ),
    Category.EXTERNAL: (
        "Look at the provider's status page and at the traffic that comes from outside.",
        "See whether only calls to the outside party fail.",
    ),
    Category.UNKNOWN: (
        "Look at the earliest finding first: what came later may follow from it.",
        "Send what the section on missing evidence names, then ask for the diagnosis again.",
    ),
}
