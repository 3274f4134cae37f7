"""What all groups of settings are made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, SecretStr


def long_enough(secret: SecretStr | None) -> SecretStr | None:
    """A secret of this installation. Raises: ValueError."""
    if secret is not None and len(secret.get_secret_value()) < 32:
        raise ValueError("needs at least 32 characters; make some with `openssl rand -hex 32`")
    return secret


def long_enough_for_a_token(secret: SecretStr | None) -> SecretStr | None:
    """A secret that another program made. Raises: ValueError."""
    if secret is not None and len(secret.get_secret_value().strip()) < 16:
        raise ValueError("needs at least 16 characters; it is the JWT_SECRET of LibreChat's own .env")
    return secret


def split(values: object, name: str) -> object:
    """A setting of several parts, from one text with commas."""
    if isinstance(values, dict) and isinstance(text := values.get(name), str):
        return {**values, name: tuple(part.strip() for part in text.split(",") if part.strip())}
    return values


class Group(BaseModel):
    """A branch of the tree: unknown names are refused, so that a typing error shows."""

    model_config = ConfigDict(extra="forbid", frozen=True)
