"""Generation: answers from passages, with checked citations."""
