"""Every error that Watchkeeper raises on purpose.

    WatchkeeperError
    ├── SettingError            a setting that is unknown, of the wrong type or out of range
    ├── UnknownName             a registry was asked for a name that it does not hold
    ├── DuplicateName           a registry was given a name that it holds already
    ├── MissingExtra            an optional dependency is needed and not installed
    ├── MalformedTelemetry      bytes that are not what they claim to be; a retry cannot help
    │   └── UnsupportedEncoding a content type or compression that is not known here
    ├── TooLarge                a request over the size limit; a retry cannot help
    ├── Refused                 not now: the sender is to retry after `retry_after_s`
    │   ├── QueueFull           the bounded memory for telemetry is full
    │   ├── DiskNearlyFull      the disk has less free space than the floor
    │   └── InternalFault       something of ours failed and is logged; a retry may well succeed
    ├── Unauthorized            no token, or one that is not known
    ├── Forbidden               the token's role does not allow it
    ├── Unreachable             a server that does not answer
    ├── StoreError              the store cannot be opened or written
    │   └── NewerFormat         the store was written by a newer Watchkeeper
    ├── QueryError              a query that DuckDB or the search language refuses
    ├── Conflict                what is asked does not fit the state that a thing is in
    ├── NotFound                there is no such finding, trace, pattern, data set ...
    ├── CertificateError        a certificate or key that cannot be made, read or used
    ├── HarnessError            a container that cannot be built, started or asked
    ├── InvalidJob              an inference job that does not keep to the contract; a retry cannot help
    ├── ModelFault              a model gave no usable answer
    ├── DataSetError            a data set that cannot be fetched, verified or read
    └── DemoError               a program of the demo cannot be found or started, or ended by itself

A message says what is wrong, where, the offending value, and the fix. Errors of libraries are mapped to these where
they cross into Watchkeeper.
"""

from __future__ import annotations


class WatchkeeperError(Exception):
    """The root: catch this to catch all that Watchkeeper raises on purpose."""


class SettingError(WatchkeeperError):
    """A setting is unknown, of the wrong type or out of range."""


class UnknownName(WatchkeeperError):
    """A registry does not hold the name asked for; the message suggests the nearest."""


class DuplicateName(WatchkeeperError):
    """A registry holds the name already."""


class MissingExtra(WatchkeeperError):
    """An optional dependency is needed; the message says what to install."""


class MalformedTelemetry(WatchkeeperError):
    """Bytes are not what they claim to be; sending them again cannot help."""


class UnsupportedEncoding(MalformedTelemetry):
    """A request is in a content type or a compression that is not known here.

    `known` lists those that are, and `header` names the header of the answer in which HTTP tells them.
    """

    def __init__(self, message: str, *, header: str, known: str) -> None:
        super().__init__(message)
        self.header = header
        self.known = known


class TooLarge(WatchkeeperError):
    """A request is over the size limit; sending it again cannot help."""


class Refused(WatchkeeperError):
    """Nothing is wrong with the request, but it cannot be taken now.

    `retry_after_s` (seconds, > 0) is what the sender is told to wait.
    """

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QueueFull(Refused):
    """The bounded memory for telemetry that awaits the disk or the detectors is full."""


class DiskNearlyFull(Refused):
    """The disk has less free space than `disk_free_bytes_min`, or a write found it full."""


class InternalFault(Refused):
    """Something of ours failed unexpectedly; it is logged, and the sender is to retry."""


class Unauthorized(WatchkeeperError):
    """A request carries no token, or one that is unknown, expired or revoked."""


class Forbidden(WatchkeeperError):
    """The token is known and its role does not allow the request."""


class Unreachable(WatchkeeperError):
    """A server cannot be reached: nothing listens there, or it does not answer in time."""


class StoreError(WatchkeeperError):
    """The store cannot be opened or written."""


class NewerFormat(StoreError):
    """The store on disk was written by a newer Watchkeeper and is left untouched."""


class QueryError(WatchkeeperError):
    """A query is refused: its syntax, a name in it, its cost.

    `position` is the character (from 0) that it fails at, where that is known.
    """

    def __init__(self, message: str, *, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class Conflict(WatchkeeperError):
    """What is asked does not fit the state that a thing is in; look at it, then ask again."""


class NotFound(WatchkeeperError):
    """There is nothing of that name or id."""


class CertificateError(WatchkeeperError):
    """A certificate or key cannot be made, read or used."""


class DemoError(WatchkeeperError):
    """A program of the demo cannot be found or started, or ended by itself."""


class HarnessError(WatchkeeperError):
    """A container of the harness cannot be built, started or asked; what stands is left, to be resumed or removed."""


class InvalidJob(WatchkeeperError):
    """An inference job does not keep to the contract; the message says where and what, for each fault."""


class ModelFault(WatchkeeperError):
    """A model gave no usable answer. `lasting` tells that the same job would fare no better again."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class DataSetError(WatchkeeperError):
    """A data set cannot be fetched, verified or read."""
