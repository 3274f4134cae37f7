"""The index on disk: one Qdrant Edge shard, and a file with its format and embedder.

Runs only in the index process, because Edge holds the GIL during every call.
`current/` is replaced as a whole, so a kill at any moment leaves a complete index or none.
"""

from __future__ import annotations

import json
import shutil
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import qdrant_edge as edge

from ragstone.errors import ConfigurationError, DataDirectoryError, IndexUnavailable
from ragstone.frames import Header, MalformedFrame

FORMAT = 1
KEYWORD_FIELDS = ("tenant", "collection", "document", "media_type", "metadata")
HIT_FIELDS = ["chunk", "document", "version"]

MIN_FREE_BYTES = 256 << 20
"""Edge writes through memory maps of 32 MiB each, and a full disk ends its process during a write."""

MAX_TIED = 4096
"""Largest number of hits fetched to order hits of equal score by chunk id."""

NO_VECTOR_GRAPH_KB = 1 << 40
"""Vectors are compared exactly: at 20,000 chunks that takes 2 ms, and building a graph blocks searches for 27 s."""

DELETED_SHARE = 0.3  # of the points; from this share on, `vacuum` copies the others

Hit = tuple[str, str, int, float]


@dataclass(frozen=True, slots=True)
class Format:
    """Format of an index; a client with another format is refused."""

    dimensions: int
    embedder: str
    number: int = FORMAT


class ShardStore:
    """Opens, fills and searches the shard in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shard: edge.EdgeShard | None = None
        self._format: Format | None = None

    def open(self, dimensions: int, embedder: str) -> None:
        """Open the shard, or create it.

        Raises:
            ConfigurationError: it was created for another embedder.
            DataDirectoryError: it has another format, or the folder cannot be written.
            IndexUnavailable: the engine cannot open it.
        """
        current = self._folder / "current"
        if not current.exists():
            self.recreate(dimensions, embedder)
        found = self._format or _read_format(current)
        _check_format(found, Format(dimensions, embedder), self._folder)
        if self._shard is None:
            with _engine(f"The index in {self._folder} cannot be opened; rebuild it with `ragstone rebuild`"):
                self._shard = edge.EdgeShard.load(str(current / "shard"))
        self._format = found

    def recreate(self, dimensions: int, embedder: str) -> None:
        """Delete the shard, readable or not, and create an empty one."""
        new, current, old = (self._folder / name for name in ("new", "current", "old"))
        self.close()
        _remove(new, old)
        _require_space(self._folder)
        try:
            new.mkdir()
            (new / "format.json").write_text(json.dumps(asdict(Format(dimensions, embedder))))
        except OSError as error:
            raise DataDirectoryError(
                f"No index can be created in {self._folder}: {error.strerror}. Check the disk."
            ) from error
        with _engine(f"No index can be created in {self._folder}; check that the disk is writable and not full"):
            _create(new / "shard", dimensions)
        if current.exists():
            current.rename(old)
        new.rename(current)
        _remove(old)
        self.open(dimensions, embedder)

    def upsert(self, points: Sequence[Header], numbers: bytes) -> None:
        """Add or replace points; `numbers` contains the windows, term numbers and term weights of each point."""
        _require_space(self._folder)
        shard, dimensions = self._opened()
        decoded = list(_decode_points(points, numbers, dimensions))
        with _engine("The index could not store the points; try again"):
            shard.update(edge.UpdateOperation.upsert_points(decoded))

    def search(self, header: Header, numbers: bytes) -> tuple[list[Hit], list[Hit]]:
        """Best hits of the dense and the sparse leg; `numbers` as for `upsert`, with at most one window."""
        shard, dimensions = self._opened()
        floats = dimensions if header["dense"] else 0
        dense, indices, values = _decode_vectors(memoryview(numbers), floats, header["terms"])
        chosen, limit = _filter(header["selection"]), header["limit"]
        of_tenant = edge.SearchParams(idf=edge.IdfParams(corpus=_filter(header["corpus"])))
        by_meaning: list[Hit] = []
        by_terms: list[Hit] = []
        with _engine("The index could not answer; try again"):
            if dense:
                by_meaning = _best(shard, edge.Query.Nearest([dense], using="dense"), chosen, limit)
            if indices:
                terms = edge.SparseVector(indices=indices, values=values)
                by_terms = _best(shard, edge.Query.Nearest(terms, using="sparse"), chosen, limit, of_tenant)
        return by_meaning, by_terms

    def delete(self, selection: Header) -> None:
        """Delete the points of a selection."""
        chosen = _filter(selection)
        with _engine("The index could not delete the points; try again"):
            self._opened()[0].update(edge.UpdateOperation.delete_points_by_filter(chosen))

    def count(self, selection: Header) -> int:
        """Number of points of a selection."""
        chosen = _filter(selection)
        with _engine("The index could not count; try again"):
            return self._opened()[0].count(edge.CountRequest(exact=True, filter=chosen))

    def flush(self) -> None:
        """Write all changes to disk, so that the next start has no log to replay."""
        if self._shard is not None:
            with _engine("The index could not be written to disk"):
                self._shard.flush()

    def vacuum(self) -> None:
        """Compact the shard if many points were deleted; blocks for 1 s per 10,000 chunks."""
        if self._shard is not None:
            with _engine("The index could not be compacted"):
                self._shard.optimize()

    def close(self) -> None:
        """Write all changes to disk and close the shard."""
        shard, self._shard, self._format = self._shard, None, None
        if shard is not None:
            shard.flush()
            shard.close()

    def _opened(self) -> tuple[edge.EdgeShard, int]:
        """The open shard and its dimensions."""
        if self._shard is None or self._format is None:
            raise IndexUnavailable("The index is not open. Try again; if this persists, run `ragstone rebuild`.")
        return self._shard, self._format.dimensions


def _best(
    shard: edge.EdgeShard,
    query: edge.Query,
    chosen: edge.Filter,
    limit: int,
    params: edge.SearchParams | None = None,
) -> list[Hit]:
    """Best hits; fetches beyond `limit` until the score changes, because the engine orders ties arbitrarily."""
    fetched = limit + 1
    while True:
        found = shard.query(
            edge.QueryRequest(fetched, query=query, filter=chosen, params=params, with_payload=HIT_FIELDS)
        )
        cut_in_a_tie = len(found) == fetched and found[-1].score == found[limit - 1].score
        if not cut_in_a_tie or fetched > MAX_TIED:
            break
        fetched *= 4
    hits = [(p.payload["chunk"], p.payload["document"], p.payload["version"], p.score) for p in found if p.payload]
    return sorted(hits, key=lambda hit: (-hit[3], hit[0]))[:limit]


def _create(path: Path, dimensions: int) -> None:
    """Create an empty shard. The write-ahead log stays on: without it, kill -9 loses all data and two can open it."""
    windows = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)
    path.mkdir()
    shard = edge.EdgeShard.create(
        str(path),
        edge.EdgeConfig(
            vectors={"dense": edge.EdgeVectorParams(dimensions, edge.Distance.Dot, multivector_config=windows)},
            sparse_vectors={"sparse": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
            hnsw_config=edge.HnswIndexConfig(m=0, ef_construct=4, full_scan_threshold=NO_VECTOR_GRAPH_KB),
            optimizers=edge.EdgeOptimizersConfig(
                deleted_threshold=DELETED_SHARE, indexing_threshold=NO_VECTOR_GRAPH_KB, default_segment_number=1
            ),
        ),
    )
    for name in KEYWORD_FIELDS:
        index = edge.KeywordIndexParams(is_tenant=name == "tenant")
        shard.update(edge.UpdateOperation.create_field_index(name, index))
    shard.flush()
    shard.close()


def _read_format(current: Path) -> Format:
    try:
        return Format(**json.loads((current / "format.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise IndexUnavailable(
            f"The index in {current.parent} is damaged; rebuild it with `ragstone rebuild`."
        ) from error


def _check_format(found: Format, wanted: Format, folder: Path) -> None:
    if found.number != wanted.number:
        raise DataDirectoryError(
            f"The index in {folder} has the format {found.number}, and this release reads {wanted.number}. "
            "Upgrade Ragstone, or rebuild the index with `ragstone rebuild`."
        )
    if found != wanted:
        raise ConfigurationError(
            f"The index in {folder} was created with the embedder {found.embedder} ({found.dimensions} dimensions), "
            f"and the settings name {wanted.embedder} ({wanted.dimensions}). "
            "Change the setting back, or embed all documents again with `ragstone rebuild`."
        )


def _decode_points(points: Sequence[Header], numbers: bytes, dimensions: int) -> Iterator[edge.Point]:
    rest = memoryview(numbers)
    for point in points:
        windows, terms = point["windows"], point["terms"]
        size = 4 * (windows * dimensions + 2 * terms)
        if windows < 1 or terms < 0 or size > len(rest):
            raise MalformedFrame("The numbers of a point are missing.")
        dense, indices, values = _decode_vectors(rest[:size], windows * dimensions, terms)
        rest = rest[size:]
        yield edge.Point(
            point["id"],
            {
                "dense": [dense[i : i + dimensions] for i in range(0, len(dense), dimensions)],
                "sparse": edge.SparseVector(indices=indices, values=values),
            },
            point["payload"],
        )
    if rest:
        raise MalformedFrame("The frame has more numbers than its points need.")


def _decode_vectors(numbers: memoryview, floats: int, terms: int) -> tuple[list[float], list[int], list[float]]:
    if len(numbers) != 4 * (floats + 2 * terms):
        raise MalformedFrame("The frame has more or fewer numbers than its header states.")
    dense, indices, values = array("f"), array("I"), array("f")
    dense.frombytes(numbers[: 4 * floats])
    indices.frombytes(numbers[4 * floats : 4 * (floats + terms)])
    values.frombytes(numbers[4 * (floats + terms) :])
    return dense.tolist(), indices.tolist(), values.tolist()


def _filter(selection: Header) -> edge.Filter:
    def conditions(pairs: Sequence[tuple[str, list[str]]]) -> list[edge.ConditionType]:
        return [edge.FieldCondition(name, match=edge.MatchAny(values)) for name, values in pairs]

    return edge.Filter(must=conditions(selection["must"]), must_not=conditions(selection["must_not"]))


@contextmanager
def _engine(sentence: str) -> Iterator[None]:
    """Translate errors of the engine to `IndexUnavailable`."""
    try:
        yield
    except Exception as error:
        # The engine raises nothing more exact than Exception.
        raise IndexUnavailable(f"{sentence}. The engine says: {error}") from error


def _require_space(folder: Path) -> None:
    """Check the free disk space: on a full disk the engine ends its process instead of raising an error."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < MIN_FREE_BYTES:
        raise DataDirectoryError(
            f"The disk of {folder} has {free_bytes >> 20} MiB left, and the index needs "
            f"{MIN_FREE_BYTES >> 20} to be safe. Free some space and try again."
        )


def _remove(*folders: Path) -> None:
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)
