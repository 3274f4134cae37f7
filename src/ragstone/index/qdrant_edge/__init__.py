"""The Qdrant Edge index, in a separate process."""
