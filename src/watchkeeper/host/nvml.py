"""NVIDIA's management library (NVML) over ctypes: no package is needed, and a missing symbol is a value not read.

Enters: the path of `libnvidia-ml.so.1`. Leaves: numbers and texts; what the driver does not support, does not know or
is too old for is None, which is never the same as zero. Structures are those of `nvml.h` (NVML API reference guide).
Blocks for as long as the driver does: run it in a process of its own (nvml_worker.py). Judges nothing.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char, c_double, c_int, c_longlong, c_uint, c_ulonglong, c_void_p
from typing import Any

LIBRARY = "libnvidia-ml.so.1"

SUCCESS = 0
NOT_SUPPORTED, NOT_FOUND, INSUFFICIENT_SIZE = 3, 6, 7
DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND, FUNCTION_NOT_FOUND = 9, 12, 13
GPU_IS_LOST, RESET_REQUIRED, VERSION_MISMATCH = 15, 16, 18
TIMEOUT = 10
# Answers that only a machine with the kernel module gives, whatever its PCI bus shows.
OF_A_LOADED_DRIVER = frozenset({TIMEOUT, GPU_IS_LOST, RESET_REQUIRED, VERSION_MISMATCH})

ERRORS = {
    1: "not initialised", 2: "invalid argument", 3: "not supported", 4: "no permission", 6: "not found",
    7: "insufficient size", 8: "a power cable is not attached", 9: "the driver is not loaded", 10: "timed out",
    11: "interrupt trouble", 12: "the library is not there", 13: "the library lacks the function",
    14: "the InfoROM is corrupted", 15: "the GPU is lost", 16: "the GPU must be reset", 17: "the system refused",
    18: "library and driver differ in version", 19: "in use", 20: "out of memory", 21: "no data", 999: "unknown error",
}  # fmt: skip


class NvmlError(Exception):
    """NVML answered with an error; `code` is its number (nvmlReturn_t)."""

    def __init__(self, code: int, function: str) -> None:
        super().__init__(f"{function}: error {code}, {ERRORS.get(code, 'not known here')}")
        self.code = code


class PciInfo(ctypes.Structure):
    """nvmlPciInfo_t."""

    _fields_ = [
        ("bus_id_legacy", c_char * 16),
        ("domain", c_uint),
        ("bus", c_uint),
        ("device", c_uint),
        ("pci_device_id", c_uint),
        ("pci_subsystem_id", c_uint),
        ("bus_id", c_char * 32),
    ]


class Memory(ctypes.Structure):
    """nvmlMemory_t, bytes."""

    _fields_ = [("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong)]


class Utilization(ctypes.Structure):
    """nvmlUtilization_t, percent."""

    _fields_ = [("gpu", c_uint), ("memory", c_uint)]


class ViolationTime(ctypes.Structure):
    """nvmlViolationTime_t; the violation is in nanoseconds, whatever the unit of the reference."""

    _fields_ = [("reference", c_ulonglong), ("violation", c_ulonglong)]


class ProcessInfo(ctypes.Structure):
    """nvmlProcessInfo_t of the _v3 calls."""

    _fields_ = [
        ("pid", c_uint),
        ("used_memory", c_ulonglong),
        ("gpu_instance", c_uint),
        ("compute_instance", c_uint),
    ]


class Value(ctypes.Union):
    """nvmlValue_t."""

    _fields_ = [
        ("double", c_double),
        ("uint", c_uint),
        ("ulonglong", c_ulonglong),
        ("longlong", c_longlong),
        ("int", c_int),
    ]


class FieldValue(ctypes.Structure):
    """nvmlFieldValue_t."""

    _fields_ = [
        ("field_id", c_uint),
        ("scope_id", c_uint),
        ("timestamp", c_longlong),
        ("latency_us", c_longlong),
        ("value_type", c_uint),
        ("status", c_int),
        ("value", Value),
    ]


class MarginTemperature(ctypes.Structure):
    """nvmlMarginTemperature_v1_t, degrees Celsius."""

    _fields_ = [("version", c_uint), ("margin", c_int)]


class FabricInfo(ctypes.Structure):
    """nvmlGpuFabricInfo_v2_t."""

    _fields_ = [
        ("version", c_uint),
        ("cluster", ctypes.c_ubyte * 16),
        ("status", c_int),
        ("clique", c_uint),
        ("state", c_uint),
        ("health_mask", c_uint),
    ]


class EventData(ctypes.Structure):
    """nvmlEventData_t."""

    _fields_ = [
        ("device", c_void_p),
        ("kind", c_ulonglong),
        ("data", c_ulonglong),
        ("gpu_instance", c_uint),
        ("compute_instance", c_uint),
    ]


_VALUE_TYPES = {0: "double", 1: "uint", 2: "ulonglong", 3: "ulonglong", 4: "longlong", 5: "int"}


def versioned(structure: Any, version: int) -> Any:
    """Make a structure that carries its version, as NVML composes it: size and version in one word."""
    return structure(version=ctypes.sizeof(structure) | version << 24)


class Nvml:
    """The library, initialised; raises NvmlError (12 when it cannot be loaded, 9 and 18 of the driver)."""

    def __init__(self, path: str = LIBRARY) -> None:
        try:
            self._library = ctypes.CDLL(path)
        except OSError as error:
            raise NvmlError(LIBRARY_NOT_FOUND, f"load {path}") from error
        self.call("nvmlInit_v2")

    def close(self) -> None:
        """Let go of the driver."""
        self.maybe("nvmlShutdown")

    def call(self, function: str, *arguments: Any) -> None:
        """Call a function; raises NvmlError for any answer but success, 13 when the library lacks it."""
        try:
            symbol = getattr(self._library, function)
        except AttributeError:
            raise NvmlError(FUNCTION_NOT_FOUND, function) from None
        code = int(symbol(*arguments))
        if code != SUCCESS:
            raise NvmlError(code, function)

    def maybe(self, function: str, *arguments: Any) -> bool:
        """Call a function whose value may be missing; False for that. Raises only for a lost GPU or a needed reset."""
        try:
            self.call(function, *arguments)
        except NvmlError as error:
            if error.code in {GPU_IS_LOST, RESET_REQUIRED}:
                raise
            return False
        return True

    def uint(self, function: str, *arguments: Any) -> int | None:
        """Read one unsigned integer, the function's last argument."""
        value = c_uint()
        return value.value if self.maybe(function, *arguments, byref(value)) else None

    def ulonglong(self, function: str, *arguments: Any) -> int | None:
        """Read one unsigned 64-bit integer."""
        value = c_ulonglong()
        return value.value if self.maybe(function, *arguments, byref(value)) else None

    def uints(self, function: str, count: int, *arguments: Any) -> tuple[int, ...] | None:
        """Read several unsigned integers, each its own last argument."""
        values = [c_uint() for _ in range(count)]
        done = self.maybe(function, *arguments, *(byref(value) for value in values))
        return tuple(value.value for value in values) if done else None

    def text(self, function: str, *arguments: Any, size: int = 96) -> str | None:
        """Read a text into a buffer of `size` bytes."""
        buffer = ctypes.create_string_buffer(size)
        return (
            buffer.value.decode("utf-8", "replace") if self.maybe(function, *arguments, buffer, c_uint(size)) else None
        )

    def filled(self, function: str, structure: Any, *arguments: Any) -> Any:
        """Have a structure filled; None when it was not."""
        return structure if self.maybe(function, *arguments, byref(structure)) else None

    def fields(self, device: c_void_p, ids: tuple[int, ...], *, scope: int = 0) -> dict[int, float]:
        """Read field values by their ids (NVML_FI_DEV_*); those not answered are left out.

        scope: of which link, for fields that are a link's.
        """
        rows = (FieldValue * len(ids))()
        for row, field_id in zip(rows, ids, strict=True):
            row.field_id, row.scope_id = field_id, scope
        if not self.maybe("nvmlDeviceGetFieldValues", device, c_int(len(ids)), rows):
            return {}
        return {
            int(row.field_id): getattr(row.value, _VALUE_TYPES[row.value_type])
            for row in rows
            if row.status == SUCCESS and row.value_type in _VALUE_TYPES
        }

    def count(self) -> int:
        """Count the GPUs that the driver shows."""
        value = c_uint()
        self.call("nvmlDeviceGetCount_v2", byref(value))
        return value.value

    def device(self, index: int) -> c_void_p:
        """Give the handle of a GPU; raises NvmlError with 15 when it is lost."""
        handle = c_void_p()
        self.call("nvmlDeviceGetHandleByIndex_v2", c_uint(index), byref(handle))
        return handle

    def processes(self, function: str, device: c_void_p) -> list[ProcessInfo] | None:
        """List the processes on a GPU, of one kind; None when it cannot be told."""
        count = c_uint(0)
        try:
            self.call(function, device, byref(count), None)
        except NvmlError as error:
            if error.code != INSUFFICIENT_SIZE:
                return None
        else:
            return []
        # Processes may start between the two calls.
        count = c_uint(count.value + 16)
        rows = (ProcessInfo * count.value)()
        if not self.maybe(function, device, byref(count), rows):
            return None
        return list(rows[: count.value])

    def retired_pages(self, device: c_void_p, cause: int) -> list[int] | None:
        """Give when each page was retired, Unix seconds; `cause` 0 is many mended errors, 1 a double-bit error."""
        count = c_uint(0)
        function = "nvmlDeviceGetRetiredPages_v2"
        try:
            self.call(function, device, c_uint(cause), byref(count), None, None)
        except NvmlError as error:
            if error.code != INSUFFICIENT_SIZE:
                return None
        if count.value == 0:
            return []
        addresses, moments = (c_ulonglong * count.value)(), (c_ulonglong * count.value)()
        if not self.maybe(function, device, c_uint(cause), byref(count), addresses, moments):
            return None
        return [int(each) for each in moments[: count.value]]


class Events:
    """Events that the driver tells by itself: XIDs and errors of memory. Nothing is told on a driver without them."""

    XID, DOUBLE_BIT, SINGLE_BIT_STORM = 8, 2, 512
    _KINDS = {XID: "xid", DOUBLE_BIT: "double_bit_ecc", SINGLE_BIT_STORM: "single_bit_ecc_storm"}  # noqa: RUF012

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._set = c_void_p()
        self._uuids: dict[int, str] = {}
        self._works = nvml.maybe("nvmlEventSetCreate", byref(self._set))

    def watch(self, device: c_void_p, uuid: str) -> bool:
        """Ask for the events of a GPU; tells whether its XIDs will come."""
        if not self._works or not device.value:
            return False
        if device.value not in self._uuids:
            supported = self._nvml.ulonglong("nvmlDeviceGetSupportedEventTypes", device) or 0
            kinds = supported & (self.XID | self.DOUBLE_BIT | self.SINGLE_BIT_STORM)
            if not kinds or not self._nvml.maybe("nvmlDeviceRegisterEvents", device, c_ulonglong(kinds), self._set):
                return False
            self._uuids[device.value] = uuid
        return True

    def take(self) -> list[dict[str, Any]]:
        """Take what has come since the last time, without waiting: {uuid, kind, data}."""
        taken: list[dict[str, Any]] = []
        while self._uuids and len(taken) < 256:
            data = EventData()
            try:
                self._nvml.call("nvmlEventSetWait_v2", self._set, byref(data), c_uint(0))
            except NvmlError:
                break
            kind = self._KINDS.get(int(data.kind), str(int(data.kind)))
            taken.append({"uuid": self._uuids.get(data.device or 0, ""), "kind": kind, "data": int(data.data)})
        return taken
