"""Chat: conversations over retrieval and generation."""
