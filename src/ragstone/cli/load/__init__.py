"""An open-loop load test: a plan of arrivals, a driver that keeps to it, figures, and a report with pictures."""
