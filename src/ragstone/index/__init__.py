"""Index: points in, candidates out."""
