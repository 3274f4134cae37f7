"""Open-loop load test of a chat server: arrival plan, driver, figures and an HTML report."""
