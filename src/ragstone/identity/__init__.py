"""Tenants, users, API keys and sessions, their authentication, and the audit log."""
