"""The shapes of the topology, beside those of models.py."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from watchkeeper.gateway.models import Attributes, Shape, UnixNs


class NodeShape(Shape):
    """One thing that is there."""

    id: str = Field(description="`kind:name`, by which edges, causes and incidents name it.", examples=["service:cart"])
    kind: str = Field(examples=["service"])
    name: str = Field(examples=["cart"])
    attributes: Attributes


class EdgeShape(Shape):
    """One dependency: the source depends on the target."""

    source: str = Field(examples=["service:frontend"])
    target: str = Field(examples=["service:cart"])
    kind: str = Field(description="calls, runs_on, part_of, produces_to or consumes_from.", examples=["calls"])
    count: int = Field(description="Calls or messages seen; 0 when known from elsewhere only.")
    known_from: list[str] = Field(description="spans, attributes, cmdb: those that say so.")
    attributes: Attributes


class TopologyAnswer(Shape):
    """The graph of a span of time."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    from_unix_ns: UnixNs
    to_unix_ns: UnixNs
    nodes: list[NodeShape]
    edges: list[EdgeShape]
    problems: list[str] = Field(description="Where the CMDB and what was seen disagree.")
