"""Inference: encoders that run in this process."""
