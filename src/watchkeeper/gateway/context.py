"""What every route needs, made once: the program, threads for blocking work, shared answers, streams and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Query, Request

from watchkeeper.gateway.application import WatchkeeperLike
from watchkeeper.gateway.sse import Streams
from watchkeeper.gateway.work import SingleFlight, Work
from watchkeeper.store.reads.base import TimeRange
from watchkeeper.store.reads.times import parse_range

SHARED_S = 1.0


@dataclass
class Gateway:
    """The parts that routes share; `shared` keeps answers that many pages ask for at once."""

    keeper: WatchkeeperLike
    now_unix_ns: Callable[[], int] = time.time_ns
    work: Work = field(default_factory=Work)
    streams: Streams = field(default_factory=Streams)
    shared: SingleFlight = field(default_factory=lambda: SingleFlight(SHARED_S))

    def close(self) -> None:
        """End the streams and let go of the threads."""
        self.streams.close()
        self.work.close()


def gateway_of(request: Request) -> Gateway:
    """Give the parts of the API that a request came to."""
    gateway = request.app.state.gateway
    assert isinstance(gateway, Gateway)
    return gateway


Parts = Annotated[Gateway, Depends(gateway_of)]

_TIME = "Unix nanoseconds, RFC 3339, or a duration before now such as 15m, 2h, 7d."


@dataclass(frozen=True)
class AskedRange:
    """The texts of `from` and `to`, not yet read."""

    from_text: str | None
    to_text: str | None

    def read(self, now_unix_ns: int) -> TimeRange:
        """Give the range; raises QueryError."""
        return parse_range(self.from_text, self.to_text, now_unix_ns)

    def given(self) -> bool:
        """Tell whether either was given."""
        return bool(self.from_text or self.to_text)


def asked_range(
    from_text: Annotated[
        str | None,
        Query(
            alias="from",
            description=f"Begin of the range, an hour before its end if left out: {_TIME}",
            examples=["15m"],
        ),
    ] = None,
    to_text: Annotated[
        str | None,
        Query(alias="to", description=f"End of the range, which does not belong to it; now if left out: {_TIME}"),
    ] = None,
) -> AskedRange:
    """Take `from` and `to` of a request."""
    return AskedRange(from_text, to_text)


Asked = Annotated[AskedRange, Depends(asked_range)]
