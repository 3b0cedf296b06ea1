"""The shape of who asks."""

from __future__ import annotations

from pydantic import Field

from watchkeeper.gateway.models import Shape


class SessionAnswer(Shape):
    """Name and role of the token."""

    name: str = Field(description="Of the token; empty where none is asked for.")
    role: str = Field(examples=["viewer", "operator", "admin"])
    may_operate: bool = Field(description="Whether it may change anything.")
