"""A Vectorize.io pipeline as a retriever."""
