"""The buffer of failures: bounded, and without user text."""

from __future__ import annotations

import pytest
import structlog

from ragstone.errors import Unavailable
from ragstone.telemetry.failure_buffer import FailureBuffer


def test_a_failure_has_the_code_and_the_class_of_its_error_and_the_id_of_the_request():
    failures = FailureBuffer()
    with structlog.contextvars.bound_contextvars(request_id="order-4711"):
        failures.note("upstream", Unavailable("someone@example.org"), upstream="api.example", tenant="acme")
    [noted] = failures.drain()
    assert (noted.stage, noted.code, noted.error, noted.upstream, noted.tenant, noted.request_id) == (
        *("upstream", "unavailable", "Unavailable", "api.example", "acme", "order-4711"),
    )
    assert "example.org" not in repr(noted)


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [
        ("no_answer", "no_answer", ""),
        ("A sentence with text of somebody.", "internal", ""),
        (KeyError("text"), "internal", "KeyError"),
        (ExceptionGroup("text", [ValueError()]), "internal", "ExceptionGroup"),
        (OSError(5, "x"), "internal", "OSError"),
    ],
)
def test_whatever_is_noted_there_is_a_code_and_no_text(error: BaseException | str, code: str, name: str):
    failures = FailureBuffer()
    failures.note("s" * 200, error, upstream="u" * 200, tenant="t" * 200)
    [noted] = failures.drain()
    assert (noted.code, noted.error) == (code, name)
    assert (len(noted.stage), len(noted.upstream), len(noted.tenant)) == (64, 128, 64)


def test_names_have_nothing_that_a_database_refuses():
    failures = FailureBuffer()
    failures.note("http", "no_answer", upstream="a\x00b\ud800\n", tenant="acme\x00")
    [noted] = failures.drain()
    assert (noted.upstream, noted.tenant) == ("ab", "acme")


def test_the_oldest_make_room_and_taking_empties():
    failures = FailureBuffer(most=3)
    for number in range(5):
        failures.note("http", f"code_{number}")
    assert [noted.code for noted in failures.drain()] == ["code_2", "code_3", "code_4"]
    assert failures.drain() == []


def test_what_is_given_back_is_older_than_what_came_meanwhile_and_makes_room_for_it():
    failures = FailureBuffer(most=3)
    for number in range(3):
        failures.note("http", f"code_{number}")
    taken = failures.drain()
    failures.note("http", "later")
    failures.restore(taken)
    assert [noted.code for noted in failures.drain()] == ["code_1", "code_2", "later"]
