"""Resilience: the HTTP client outwards, retries, circuit breakers and concurrency limits."""
