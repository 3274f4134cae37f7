"""The REST surface under /api."""
