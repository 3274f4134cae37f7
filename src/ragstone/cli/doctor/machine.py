"""Rules about this machine: variables that mean nothing, the data directory, disk, and limits of the system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from ragstone.cli.doctor.checks import FULL_DISK_BYTES, LOW_DISK_BYTES
from ragstone.cli.doctor.rules import Level, Problem, Rule, Subject, error, warning

CONNECTIONS = 1000  # of clients; the server answers 503 beyond (http.listening.MAX_CONNECTIONS)
OWN_FILES = 200  # database, blobs, index, parsers and libraries, with room to spare
OTHERS = 0o077  # permissions of everybody but the owner


def misspelt_variables(subject: Subject) -> Iterator[Problem]:
    """A variable that nothing reads has no effect, and nobody says so."""
    from ragstone.cli.doctor.report import settings_found, strange_variables

    known = [one.variable for one in settings_found(subject.settings, {})]
    for variable in strange_variables(subject.given, known=known):
        yield warning(variable, "is no setting, so it has no effect", _near(variable, known))


def _near(variable: str, known: Sequence[str]) -> str:
    near = get_close_matches(variable, known, n=1)
    return f"Did you mean {near[0]}?" if near else "The settings are listed in .env.example."


def passing_data_directory(subject: Subject) -> Iterator[Problem]:
    """A folder for temporary files is emptied by the system; a relative one depends on where a process starts."""
    if not subject.serves:
        return
    folder = subject.machine.data_dir
    if any(root == folder or root in folder.parents for root in subject.machine.temporary):
        level = subject.graded(production=Level.ERROR)
        found = f"{folder} is in a folder for temporary files, which the system empties"
        yield Problem(level, "RAGSTONE_DATA_DIR", found, "Name a folder on a disk that stays, and back it up.")
    elif not subject.settings.data_dir.expanduser().is_absolute():
        found = f"{subject.settings.data_dir} depends on the folder a process is started in; now it is {folder}"
        yield warning("RAGSTONE_DATA_DIR", found, "Write it from the root on, such as /srv/ragstone.")


def little_room(subject: Subject) -> Iterator[Problem]:
    """Without room nothing can be taken in, and SQLite cannot commit."""
    free = subject.machine.free_bytes
    if free < LOW_DISK_BYTES:
        level = Level.ERROR if free < FULL_DISK_BYTES else Level.WARNING
        found = f"{free >> 20} MiB are free at {subject.machine.data_dir}"
        yield Problem(level, "RAGSTONE_DATA_DIR", found, "Free some space, or name a folder on a larger disk.")


def few_open_files(subject: Subject) -> Iterator[Problem]:
    """A chat that is passed on takes two connections, each an open file."""
    needed = CONNECTIONS + subject.settings.upstream.max_calls + OWN_FILES
    if subject.serves and subject.machine.open_files < needed:
        yield warning(
            "RAGSTONE_UPSTREAM__MAX_CALLS",
            f"{subject.machine.open_files} files may be open (`ulimit -n`); all clients and calls take {needed}",
            f"Raise the limit (`ulimit -n {2 * needed}`, LimitNOFILE= of systemd), or lower the calls.",
        )


def readable_dotenv(subject: Subject) -> Iterator[Problem]:
    """Keys in a file that everybody on the machine may read."""
    mode = subject.machine.dotenv_mode
    if subject.serves and mode is not None and mode & OTHERS:
        yield warning(".env", f"others may use it (permissions {mode:o})", "chmod 600 .env")


def inherited_profile(subject: Subject) -> Iterator[Problem]:
    """What is checked as production should also say so to the server."""
    if subject.profile != subject.settings.profile:
        found = f"{subject.settings.profile}, though this checks for {subject.profile}"
        yield warning("RAGSTONE_PROFILE", found, f"Set it to {subject.profile} where this is deployed.")


def unreadable(message: str) -> list[Problem]:
    """The problems in the sentence about settings that cannot be read: one for each variable it names."""
    import re

    parts = re.split(r"(?:^.*?|; )(?=RAGSTONE_[A-Z0-9_]+: )", message)
    found = [part.partition(": ") for part in parts if part.startswith("RAGSTONE_")]
    if not found:
        return [error("RAGSTONE_…", message, "The settings are listed in .env.example.")]
    mend = "Mend the value, or take it out; .env.example says what it may be."
    return [error(name, text.rstrip("."), mend) for name, _, text in found]


RULES: tuple[Rule, ...] = (
    misspelt_variables,
    inherited_profile,
    passing_data_directory,
    little_room,
    few_open_files,
    readable_dotenv,
)
