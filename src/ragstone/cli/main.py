"""The command line of Ragstone: the list of all commands."""

from __future__ import annotations

from typing import Annotated

import typer

from ragstone import __version__
from ragstone.cli.accounts import accounts
from ragstone.cli.ask import ask, search
from ragstone.cli.billing import models as plan_models
from ragstone.cli.billing import plans, usage
from ragstone.cli.command import EXIT_CODES_HELP, GlobalDataDir
from ragstone.cli.doctor.report import doctor
from ragstone.cli.documents import documents
from ragstone.cli.evaluate import evaluate
from ragstone.cli.ingest import ingest, rebuild
from ragstone.cli.interceptor import intercept, interceptor
from ragstone.cli.jobs import jobs
from ragstone.cli.keys import keys
from ragstone.cli.models import models
from ragstone.cli.operate import operate
from ragstone.cli.serve import serve, worker

app = typer.Typer(
    name="ragstone",
    help="Documents in, cited answers out.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help takes a third of the time
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def ragstone(
    *,
    data_dir: GlobalDataDir = None,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Documents in, cited answers out."""


app.command()(ingest)
app.command()(ask)
app.command()(search)
app.add_typer(documents, name="documents")
app.add_typer(accounts, name="accounts")
accounts.add_typer(keys, name="keys")
accounts.add_typer(plans, name="plans")
accounts.add_typer(plan_models, name="models")
accounts.command()(usage)
app.add_typer(interceptor, name="interceptor")
app.add_typer(jobs, name="jobs")
app.add_typer(models, name="models")
app.command()(serve)
app.command()(worker)
app.command()(intercept)
app.command()(rebuild)
app.command()(doctor)
app.add_typer(operate, name="operate")
app.add_typer(evaluate, name="evaluate")
