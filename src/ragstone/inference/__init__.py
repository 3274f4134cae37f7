"""Inference: model files, their hashes, and sessions that run them."""
