"""Ingestion: from submitted bytes to searchable chunks."""
