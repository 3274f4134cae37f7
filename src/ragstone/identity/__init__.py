"""Tenants, users, keys and sessions: who calls, and what they may do."""
