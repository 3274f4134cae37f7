"""Storage: SQL is the truth; blobs hold the bytes."""
