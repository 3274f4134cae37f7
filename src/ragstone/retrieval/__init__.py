"""Retrieval: a question to the passages that bear on it."""
