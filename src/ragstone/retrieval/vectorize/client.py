"""The client of Vectorize.io's retrieval API: tokens, addresses, requests and answers.

Each question is one POST. A token is sent only to the URL that it was given for: no message, no
event and no `repr` contains it, and no error has a cause that might.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import SplitResult, urlsplit

import structlog

from ragstone.errors import ConfigurationError, InvalidInput, TooLarge, Unavailable, UpstreamUnavailable
from ragstone.resilience.http_client import HttpClient, UpstreamResponse
from ragstone.resilience.retry import UpstreamFault
from ragstone.resilience.upstream_policy import UpstreamPolicies
from ragstone.telemetry.tracing import outgoing_headers, span
from ragstone.vocabulary import MetadataValue, Scope

log = structlog.get_logger()

SOON = timedelta(days=7)  # long enough to make a new one before a pipeline falls silent
MAX_TOKEN_CHARS = 16_384

_PARTS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_OPAQUE = re.compile(r"[\x21-\x7e]+")


def checked_token(token: str, *, now: datetime, opaque: bool = False) -> None:
    """Refuse a token that cannot work; log a warning if it ends within a week.

    Args:
        token: What the operator or tenant gave.
        now: With a time zone.
        opaque: Accept other forms than a JWT too, as older gateways use them.

    Raises:
        ConfigurationError: it is malformed or has expired; the message does not contain it.
    """
    if _PARTS.fullmatch(token) is None and opaque:
        if len(token) > MAX_TOKEN_CHARS or not _OPAQUE.fullmatch(token):
            raise ConfigurationError("The token of the pipeline holds blanks or line ends. Copy it again.")
        return
    ends = expiry_of(token)
    if ends is None:
        return
    if ends <= now:
        raise ConfigurationError(
            f"The token of the pipeline expired on {ends:%Y-%m-%d}. "
            "Make a new API access token at Vectorize and set it."
        )
    if ends - now <= SOON:
        log.warning("vectorize.token_ends_soon", ends=f"{ends:%Y-%m-%d}", days=(ends - now).days)


def expiry_of(token: str) -> datetime | None:
    """The expiry of a JWT; `None` if it has none.

    Raises:
        ConfigurationError: it is no JWT.
    """
    if len(token) > MAX_TOKEN_CHARS or not _PARTS.fullmatch(token):
        raise _no_jwt()
    header, payload, _ = token.split(".")
    if "alg" not in _decoded(header):
        raise _no_jwt()
    ends = _decoded(payload).get("exp")
    if ends is None:
        return None
    if isinstance(ends, bool) or not isinstance(ends, int | float):
        raise _no_jwt()
    try:
        return datetime.fromtimestamp(ends, UTC)
    except (OverflowError, ValueError, OSError):
        raise _no_jwt() from None


def _decoded(part: str) -> dict[str, Any]:
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise _no_jwt() from None  # the cause holds what it could not read
    if not isinstance(value, dict):
        raise _no_jwt()
    return value


def _no_jwt() -> ConfigurationError:
    return ConfigurationError(
        "The token of the pipeline is no API access token: that is a JWT, three parts with dots between them. "
        "Make one at Vectorize, and copy the whole of it."
    )


MAX_DOCUMENTS = 100
MAX_TEXT_CHARS = 32_000  # a pipeline's chunks have some 2,000; what lies beyond is cut
MAX_FIELD_CHARS = 2048  # of a source, as of a URL
MAX_METADATA = 64  # fields of one document
MAX_VALUES = 64  # of one metadata field

_NOT_METADATA = frozenset({"text", "relevancy", "similarity"})
_PAGE_FIELDS = ("page", "page_number", "pageNumber")  # what readers of PDFs call it; the API itself names none


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineDocument:
    """One chunk that a pipeline found; strings are empty where it does not say.

    `relevancy` is the reranker's score and `similarity` the vectors', both in [0, 1].
    `metadata` holds every other field that has one value or a list of them. Nothing here
    was checked for what it says, invisible characters included.
    """

    text: str
    id: str = ""
    chunk_id: str = ""
    name: str = ""
    source: str = ""
    unique_source: str = ""
    origin: str = ""
    relevancy: float | None = None
    similarity: float | None = None
    page: int | None = None
    metadata: Mapping[str, tuple[MetadataValue, ...]] = field(default_factory=dict)


def read_documents(body: bytes) -> tuple[PipelineDocument, ...]:
    """The documents that have a text, in the order of the answer; those beyond the hundredth are not looked at.

    Raises:
        ValueError: the body is no such answer; the message quotes nothing of it.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("It is no JSON.") from None  # the cause holds all of it
    listed = _listed(answer)
    if listed is None:
        raise ValueError("It has no list of documents.")
    found = (_document(raw) for raw in listed[:MAX_DOCUMENTS] if isinstance(raw, dict))
    return tuple(document for document in found if document.text.strip())


def _listed(answer: object) -> list[object] | None:
    documents = answer.get("documents") if isinstance(answer, dict) else None
    return documents if isinstance(documents, list) else None


def _document(raw: dict[str, Any]) -> PipelineDocument:
    metadata = _metadata(raw)
    return PipelineDocument(
        text=raw["text"][:MAX_TEXT_CHARS] if isinstance(raw.get("text"), str) else "",
        id=_word(raw.get("id")),
        chunk_id=_word(raw.get("chunk_id")),
        name=_word(raw.get("source_display_name")),
        source=_word(raw.get("source")),
        unique_source=_word(raw.get("unique_source")),
        origin=_word(raw.get("origin")),
        relevancy=_share(raw.get("relevancy")),
        similarity=_share(raw.get("similarity")),
        page=_page(metadata),
        metadata=metadata,
    )


def _word(value: object) -> str:
    """A short string; a number as its digits; nothing for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)[:MAX_FIELD_CHARS]


def _share(value: object) -> float | None:
    """A score, clamped to [0, 1]; `None` where it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return min(max(number, 0.0), 1.0) if math.isfinite(number) else None


def _metadata(raw: Mapping[str, Any]) -> dict[str, tuple[MetadataValue, ...]]:
    fields = ((name[:MAX_FIELD_CHARS], _values(value)) for name, value in raw.items() if name not in _NOT_METADATA)
    return dict(islice((one for one in fields if one[1]), MAX_METADATA))


def _values(value: object) -> tuple[MetadataValue, ...]:
    values = value[:MAX_VALUES] if isinstance(value, list) else [value]
    plain = (_plain(one) for one in values)
    return tuple(one for one in plain if one is not None)


def _plain(value: object) -> MetadataValue | None:
    if isinstance(value, str):
        return value[:MAX_FIELD_CHARS]
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return None


def _page(metadata: Mapping[str, tuple[MetadataValue, ...]]) -> int | None:
    """The page, from 1, where a field of a usual name carries one."""
    for name in _PAGE_FIELDS:
        digits = str(metadata.get(name, ("",))[0])
        if digits.isascii() and digits.isdigit() and 0 < len(digits) <= len("100000") and int(digits):
            return int(digits)
    return None


API_URL = "https://api.vectorize.io/v1/org/{organization}/pipelines/{pipeline}/retrieval"
MAX_ANSWER_BYTES = 8 << 20
MAX_URL_CHARS = 2048
MARGIN_S = 0.02  # the server's time ends this much before the caller's, so that the circuit learns who was late
INLINE_BYTES = 64 << 10  # a longer answer is parsed in a thread: 8 MiB of JSON take 60 ms

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_GATEWAY_PATH = "/gateways/"  # …/api/gateways/service/<organisation>/<pipeline>/retrieve, the service's older form
_AGAIN = frozenset({408, 429})


@dataclass(frozen=True, slots=True)
class PipelineAddress:
    """Where a pipeline answers.

    `gateway`: it is of the older form, which takes the token without `Bearer`.
    `trusted`: the operator named it, so it may lead into this network.
    """

    url: str
    gateway: bool = False
    trusted: bool = False

    @property
    def upstream(self) -> str:
        """What circuits and metrics call it: the host, and a few digits that stand for the pipeline.

        Each has a circuit of its own: behind a pipeline lies a database of its owner, and
        where one tenant's is down, the others' pipelines on the same host are well.
        """
        return f"vectorize:{urlsplit(self.url).hostname}/{hashlib.sha256(self.url.encode()).hexdigest()[:6]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemotePipeline:
    """A pipeline, and how it is asked. `rerank` and `filters` count against a quota of the account there."""

    address: PipelineAddress
    token: str = field(repr=False)
    rerank: bool = False
    filters: tuple[Mapping[str, Any], ...] = ()
    timeout_s: float = 5.0


def pipeline_address(
    *, organization: str | None = None, pipeline: str | None = None, url: str | None = None, trusted: bool = False
) -> PipelineAddress:
    """The address of a pipeline: of the URL if there is one, else of the two ids.

    Raises:
        ConfigurationError: neither is complete, or cannot be an address.
    """
    if url:
        return _address_of(url, trusted=trusted)
    if not organization or not pipeline:
        raise ConfigurationError("A pipeline needs an organisation id and a pipeline id, or a full retrieval URL.")
    if not (_ID.fullmatch(organization) and _ID.fullmatch(pipeline)):
        raise ConfigurationError(
            "The id of an organisation or pipeline has letters, digits, hyphens and underscores only. "
            "Copy both from the pipeline's page at Vectorize."
        )
    return PipelineAddress(API_URL.format(organization=organization, pipeline=pipeline), trusted=trusted)


def _address_of(url: str, *, trusted: bool) -> PipelineAddress:
    parts = _parts(url)
    if parts is None or parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
        raise ConfigurationError(
            "The retrieval URL of the pipeline cannot be used. Copy it from the pipeline's page at Vectorize; "
            "it begins with https:// and holds no user name."
        )
    return PipelineAddress(url, gateway=_GATEWAY_PATH in parts.path, trusted=trusted)


def _parts(url: str) -> SplitResult | None:
    """The parts of a URL; `None` if it is malformed."""
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        return urlsplit(url)
    except ValueError:
        return None


class VectorizeClient:
    """Sends questions to pipelines. One client serves all tenants: each call has its own address and token."""

    def __init__(self, http: HttpClient, guards: UpstreamPolicies) -> None:
        self._http = http
        self._guards = guards

    async def retrieve(
        self, scope: Scope, pipeline: RemotePipeline, question: str, *, limit: int
    ) -> tuple[PipelineDocument, ...]:
        """The documents that the pipeline finds, in its order: by relevancy if it reranks, else by similarity.

        The question must stand alone: the pipeline does not get the conversation, which it would
        use to rewrite the question at the cost of a quota.

        Args:
            scope: The tenant counts against the concurrency limit of the pipeline.
            pipeline: The address, token and options of the pipeline.
            question: The text to search for.
            limit: Documents, at most; no more than 100 are requested.

        Raises:
            UpstreamUnavailable: it did not answer in time, or not as it should, or refused.
            CircuitOpen: it failed too often a moment ago.
            Overloaded: too many questions are under way.
        """
        headers, body = _headers(pipeline), _body(pipeline, question, limit)
        guard = self._guards.guard(pipeline.address.upstream)
        ends = asyncio.get_running_loop().time() + pipeline.timeout_s
        ask = partial(self._ask, pipeline.address, headers, body, answer_by=ends - MARGIN_S)
        try:
            with span("vectorize.retrieve", upstream=pipeline.address.upstream):
                async with asyncio.timeout_at(ends), guard.place(scope.tenant):
                    documents = await guard.call(ask)
        except UpstreamFault as fault:
            # No cause: what an HTTP client raises may hold the request, and with it the token.
            log.warning("vectorize.failed", upstream=pipeline.address.upstream, refused=fault.refused)
            raise UpstreamUnavailable(f"The pipeline gave no answer. {fault}") from None
        except TimeoutError:
            raise UpstreamUnavailable(
                f"The pipeline gave no answer within {pipeline.timeout_s:g} seconds. Ask again, or allow it more."
            ) from None
        log.info("vectorize.done", documents=len(documents), reranked=pipeline.rerank)
        return documents[:limit]

    async def _ask(
        self, address: PipelineAddress, headers: Sequence[tuple[str, str]], body: bytes, *, answer_by: float
    ) -> tuple[PipelineDocument, ...]:
        """One attempt. Raises: UpstreamFault, which says whether the service failed or refused the question."""
        call = self._http.open("POST", address.url, headers=headers, body=body, trusted=address.trusted)
        try:
            async with asyncio.timeout_at(answer_by), call as incoming:
                if incoming.status != 200:
                    raise _fault(incoming, left_s=answer_by - asyncio.get_running_loop().time())
                return await _documents(await incoming.read(MAX_ANSWER_BYTES))
        except TimeoutError:
            raise UpstreamFault("It took too long; ask again, or allow it more time.", retryable=False) from None
        except TooLarge as error:
            raise UpstreamFault(str(error), retryable=False) from None
        except InvalidInput as error:  # the URL resolves to an address that is not allowed
            raise UpstreamFault(str(error), retryable=False, refused=True) from None
        except Unavailable as error:
            raise UpstreamFault(str(error), retryable=True) from None


async def _documents(body: bytes) -> tuple[PipelineDocument, ...]:
    try:
        if len(body) <= INLINE_BYTES:
            return read_documents(body)
        return await asyncio.to_thread(read_documents, body)
    except ValueError as error:
        raise UpstreamFault(f"What came cannot be read: {error}", retryable=False) from None


def _fault(incoming: UpstreamResponse, *, left_s: float) -> UpstreamFault:
    """Translate a status. A refusal concerns the account, and does not count as a failure of the service.

    There is no retry if the server asks for a longer wait than there is time.
    """
    status, wait_s = incoming.status, _retry_after_s(incoming)
    return UpstreamFault(
        f"It {_advice(status)} (HTTP {status}).",
        retryable=(status in _AGAIN or status >= 500) and (wait_s or 0.0) < left_s,
        retry_after_s=wait_s,
        refused=status < 500 and status != 408,
    )


def _retry_after_s(incoming: UpstreamResponse) -> float | None:
    """The wait that the server asks for, in seconds; `None` if it does not, or not in seconds."""
    said = next((value for name, value in incoming.headers if name == "retry-after"), "")
    return float(said) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", said) else None


_ADVICE = {
    400: "refused the question; check the metadata filters of its settings",
    401: "refused the token; make a new API access token at Vectorize and set it",
    403: "forbids this token; check at Vectorize that it may read this pipeline",
    404: "is not there; check the organisation id and the pipeline id, or the URL",
    408: "gave up waiting; ask again",
    413: "finds the question too large; ask a shorter one",
    429: "limits the rate, or its quota is used up; wait, or look at the account there",
}


def _advice(status: int) -> str:
    if 300 <= status < 400:
        return "is elsewhere; set the full retrieval URL, as no redirect is followed"
    if status >= 500:
        return "has a fault of its own; ask again in a while"
    return _ADVICE.get(status, "refused the question; check the settings of the pipeline")


def _headers(pipeline: RemotePipeline) -> tuple[tuple[str, str], ...]:
    if not _TOKEN.fullmatch(pipeline.token):  # an HTTP client would quote it in its complaint
        raise UpstreamUnavailable("The token of the pipeline is no token. Set it again, without blanks or line ends.")
    shown = pipeline.token if pipeline.address.gateway else f"Bearer {pipeline.token}"
    return (
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("user-agent", "Ragstone"),
        ("authorization", shown),
        *outgoing_headers(),
    )


def _body(pipeline: RemotePipeline, question: str, limit: int) -> bytes:
    """The request as JSON. It always has `rerank`: the service's pages contradict each other on its default."""
    asked: dict[str, Any] = {
        "question": question,
        "numResults": min(max(limit, 1), MAX_DOCUMENTS),
        "rerank": pipeline.rerank,
    }
    if pipeline.filters:
        asked["metadata-filters"] = list(pipeline.filters)
    return json.dumps(asked).encode()
