"""The interceptor as a process of its own: pipelines and models elsewhere, no index and no model here."""
