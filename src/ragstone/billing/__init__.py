"""Plans, the usage ledger, and limits on requests and streams."""
