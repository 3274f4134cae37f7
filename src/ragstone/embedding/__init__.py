"""Embedding: turns text into dense and sparse vectors."""
