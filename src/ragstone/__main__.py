"""`python -m ragstone` and the `ragstone` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; ends the process with one of the documented exit codes."""
    from typer.main import get_command

    from ragstone.cli.command import report_bug
    from ragstone.cli.main import app

    sys.excepthook = report_bug
    get_command(app)(prog_name="ragstone")


if __name__ == "__main__":
    main()
