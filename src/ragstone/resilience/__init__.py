"""Resilience: the HTTP client for other servers, retries, circuit breakers and concurrency limits."""
