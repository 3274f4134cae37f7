"""Chats of other programs, enriched from a tenant's knowledge on their way to the model."""
