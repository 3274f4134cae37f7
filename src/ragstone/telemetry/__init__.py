"""Telemetry: logs as events, and metrics."""
