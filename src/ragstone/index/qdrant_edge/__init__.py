"""Qdrant Edge as an index, in a process of its own."""
