"""Process entry: `python -m benchmarks.load URL`."""

from benchmarks.load.command import app

app()
