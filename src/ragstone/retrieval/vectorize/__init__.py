"""The adapter of the retriever's port for Vectorize.io pipelines."""
