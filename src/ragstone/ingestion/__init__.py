"""Ingestion: makes submitted files searchable, and removes them."""
