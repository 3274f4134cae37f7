"""Settings and widgets of each tenant."""
