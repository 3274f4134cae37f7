"""A chat as it came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ragstone.integrations.interceptor.dialects import DialectName
from ragstone.principals import Principal

OWN_MODEL = "ragstone"
"""What our own answerer is called as a model."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its bytes, what they say, its headers by their names in small letters, and who sent it.

    `path` follows the base URL of the server that it may go on to. `overage`: it is beyond
    the limit of the sender's plan.
    """

    dialect: DialectName
    path: str
    body: bytes = field(repr=False)
    parsed: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    principal: Principal
    request_id: str
    overage: bool = False
