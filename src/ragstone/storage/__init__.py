"""Storage: the SQL database (the source of truth), blobs, caches, rate windows and backups."""
