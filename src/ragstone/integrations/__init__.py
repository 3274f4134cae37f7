"""Ragstone inside other systems. No other package imports it."""
