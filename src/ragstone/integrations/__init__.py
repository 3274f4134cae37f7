"""Ragstone inside other systems; imported by nobody here."""
