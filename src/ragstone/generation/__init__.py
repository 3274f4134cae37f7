"""Generation: passages to an answer whose citations are checked."""
