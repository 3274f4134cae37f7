"""Logs, metrics, traces, recent failures and redaction."""
