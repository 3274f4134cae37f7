"""The blob store: submitted bytes by their hash, in one folder per tenant."""

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

    A blob is complete or absent: it is written to a temporary file, flushed to the disk and
    renamed. Equal bytes of one tenant are one blob; tenants never share blobs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, scope: Scope, content: bytes) -> str:
        """Store `content` durably.

        Returns:
            Its key: the SHA-256 of the bytes, in hexadecimal.

        Raises:
            DataDirectoryError: the disk is full or read-only; nothing is left behind.
        """
        return await asyncio.to_thread(self._put, scope, content)

    async def get(self, scope: Scope, key: str) -> bytes:
        """The bytes stored under `key`.

        Raises:
            NotFound: this tenant has no such blob.
        """
        return await asyncio.to_thread(self._get, scope, key)

    async def delete(self, scope: Scope, key: str) -> None:
        """Remove the blob, if it exists."""
        await asyncio.to_thread(self._delete, scope, key)

    async def delete_tenant(self, tenant: str) -> int:
        """Remove all blobs of a tenant. Returns their number."""
        return await asyncio.to_thread(self._delete_tenant, tenant)

    async def count(self, tenant: str) -> int:
        """The number of files stored for a tenant, including incomplete ones."""
        return await asyncio.to_thread(lambda: len(self._files(tenant)))

    async def keys(self, tenant: str) -> set[str]:
        """The keys of all blobs of a tenant."""
        return await asyncio.to_thread(lambda: {path.name for path in self._files(tenant)})

    async def missing(self, scope: Scope, keys: set[str]) -> set[str]:
        """Those of `keys` that are not stored."""
        return await asyncio.to_thread(lambda: {key for key in keys if not self._path(scope, key).exists()})

    def _path(self, scope: Scope, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise NotFound(f"There are no stored bytes {key[:80]!r}. A key is 64 hexadecimal digits.")
        return self._folder_of(scope.tenant) / key[:2] / key

    def _folder_of(self, tenant: str) -> Path:
        # A tenant's name may hold any character; its hash is always a valid folder name.
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
    """Write a temporary file, flush it, rename it and flush the folder, so that no partial file is visible."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
