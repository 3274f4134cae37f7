"""Embedding: text to dense and sparse vectors."""
