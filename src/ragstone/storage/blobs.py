"""Blobs: submitted bytes by their hash, in a folder for each tenant."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import shutil
from pathlib import Path

from ragstone.errors import DataDirectoryError, NotFound
from ragstone.storage.error_translation import disk_failure
from ragstone.vocabulary import Scope

_KEY = re.compile(r"[0-9a-f]{64}")


class LocalBlobs:
    """Blobs in a local folder: `<folder>/<hash of tenant>/<aa>/<sha256>`.

    A blob is whole or absent: it is written beside its place, flushed to the disk and
    renamed. Equal bytes of one tenant are one blob; tenants never share one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, scope: Scope, content: bytes) -> str:
        """Keep `content`, durably.

        Returns:
            Its key: the SHA-256 of the bytes, in hexadecimal.

        Raises:
            DataDirectoryError: the disk is full or read-only; nothing is left behind.
        """
        return await asyncio.to_thread(self._put, scope, content)

    async def get(self, scope: Scope, key: str) -> bytes:
        """The bytes kept under `key`.

        Raises:
            NotFound: this tenant has no such blob.
        """
        return await asyncio.to_thread(self._get, scope, key)

    async def delete(self, scope: Scope, key: str) -> None:
        """Remove the blob; removing an absent one is no error."""
        await asyncio.to_thread(self._delete, scope, key)

    async def delete_tenant(self, tenant: str) -> int:
        """Remove all blobs of a tenant; how many there were."""
        return await asyncio.to_thread(self._delete_tenant, tenant)

    async def count(self, tenant: str) -> int:
        """How many files are kept for a tenant, half-written ones among them."""
        return await asyncio.to_thread(lambda: len(self._files(tenant)))

    async def keys(self, tenant: str) -> set[str]:
        """The keys of all blobs of a tenant."""
        return await asyncio.to_thread(lambda: {path.name for path in self._files(tenant)})

    async def missing(self, scope: Scope, keys: set[str]) -> set[str]:
        """Those of `keys` that are not kept."""
        return await asyncio.to_thread(lambda: {key for key in keys if not self._path(scope, key).exists()})

    def _path(self, scope: Scope, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise NotFound(f"There are no stored bytes {key[:80]!r}. A key is 64 hexadecimal digits.")
        return self._folder_of(scope.tenant) / key[:2] / key

    def _folder_of(self, tenant: str) -> Path:
        # A tenant's name may be anything; its hash is always a plain folder name.
        return self._folder / hashlib.sha256(tenant.encode()).hexdigest()[:32]

    def _files(self, tenant: str) -> list[Path]:
        return [path for path in self._folder_of(tenant).rglob("*") if path.is_file()]

    def _put(self, scope: Scope, content: bytes) -> str:
        key = hashlib.sha256(content).hexdigest()
        path = self._path(scope, key)
        if path.exists():
            return key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(path, content)
        except OSError as error:
            raise disk_failure(error, self._folder) from error
        return key

    def _get(self, scope: Scope, key: str) -> bytes:
        try:
            return self._path(scope, key).read_bytes()
        except FileNotFoundError as error:
            raise NotFound("The stored bytes of this document are gone. Submit the file again.") from error
        except OSError as error:
            raise DataDirectoryError(
                f"Reading from {self._folder} failed: {error.strerror}. Check the disk."
            ) from error

    def _delete(self, scope: Scope, key: str) -> None:
        try:
            self._path(scope, key).unlink(missing_ok=True)
        except OSError as error:
            raise disk_failure(error, self._folder) from error

    def _delete_tenant(self, tenant: str) -> int:
        count = len(self._files(tenant))
        try:
            shutil.rmtree(self._folder_of(tenant))
        except FileNotFoundError:
            return count
        except OSError as error:
            raise disk_failure(error, self._folder) from error
        return count


def _write_whole(path: Path, content: bytes) -> None:
    """Write beside `path`, flush, rename, flush the folder: no state in between is visible."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
