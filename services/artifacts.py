"""Artifacts: bytes stored under the SHA-256 of their content, in a folder or any fsspec store."""

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fsspec.core import url_to_fs

from services.errors import (
    ArtifactCorruptError,
    ArtifactsUnavailableError,
    NotFoundError,
    ServiceError,
    is_disk_full,
)
from services.ownership import require_ownership
from services.redaction import redact

RENEWED_AFTER = timedelta(minutes=30)
"""Content that is stored again after so long is written again, which protects it from collection."""

PIECE = 2**20
READ_AHEAD = 8 * PIECE
"""Of object stores, which answer slowly: bytes asked for at once."""


@dataclass(frozen=True)
class StoredArtifact:
    """A file of the store: an artifact, or what a writer that was killed left of one."""

    id: str  # SHA-256 in hex, also of what was to be
    whole: bool  # whether its writer came to its end
    path: str
    size_bytes: int
    modified_at: datetime


class ArtifactStore:
    """A content-addressed store; what it gives back is what was put in, or an error.

    An artifact lies at `ab/cd/abcd…`, so that no folder holds more than a share of them. Writes go to a
    name of their own and are moved into place, so a reader never meets half an artifact, and of two
    writers of one content either may win. All methods raise ArtifactsUnavailableError.
    """

    def __init__(self, url: str) -> None:
        """`url` is a local folder or an fsspec URL such as `s3://bucket/prefix`."""
        try:
            self._files, self._root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ArtifactsUnavailableError(
                f"no artifact store at {url!r}: {error}; check GTN_NAS_ARTIFACTS_URL"
            ) from error
        self._url = url

    def put(self, data: bytes) -> str:
        """Store `data`; answers its id, the SHA-256 in hex. A corrupt or an old copy is replaced."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(sha256)
        try:
            with self._translated_errors():
                if not (self._intact(sha256) and datetime.now(UTC) - self._modified_at(path) < RENEWED_AFTER):
                    partial = f"{path}.{secrets.token_hex(4)}.partial"
                    self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
                    self._files.pipe_file(partial, data)
                    self._files.mv(partial, path)
        except FileNotFoundError as error:  # of the bucket
            raise self._unavailable(error) from error
        return sha256

    def get(self, sha256: str) -> bytes:
        """The bytes of an artifact, verified. Raises NotFoundError, ArtifactCorruptError."""
        path = self._path(sha256)
        try:
            with self._translated_errors():
                data: bytes = self._files.cat_file(path)
        except FileNotFoundError:
            raise NotFoundError("artifact", sha256) from None
        _require_intact(sha256, hashlib.sha256(data).hexdigest(), path)
        return data

    def read(self, sha256: str) -> Iterator[bytes]:
        """`get` in pieces, for what is too large for memory; all are verified before the first comes."""
        path, digest = self._path(sha256), hashlib.sha256()
        self._files.invalidate_cache(path)  # listings of an object store do not know what others put there
        try:
            with self._translated_errors():
                for piece in self._pieces(path):
                    digest.update(piece)
        except FileNotFoundError:
            raise NotFoundError("artifact", sha256) from None
        _require_intact(sha256, digest.hexdigest(), path)
        return self._pieces(path)

    def check(self) -> None:
        """Look whether the store answers. One that nothing was put into yet does."""
        self._files.invalidate_cache(self._root)
        with suppress(FileNotFoundError), self._translated_errors():
            self._files.info(self._root)  # a folder's `exists` takes every error for a no

    def stored(self) -> Iterator[StoredArtifact]:
        """All files of the store, whoever left them; one that goes meanwhile is left out."""
        self._files.invalidate_cache()
        with self._translated_errors():
            files = self._files.find(self._root, detail=True)
        for path, about in files.items():
            found = _FILE_NAME.fullmatch(path.rpartition("/")[2])
            if found is not None:  # nobody else's files are ours to judge
                whole = found[1] == found[0]
                with suppress(FileNotFoundError):  # another controller tidies up as well
                    with self._translated_errors():
                        modified_at = self._modified_at(path)
                    yield StoredArtifact(found[1], whole, path, about["size"], modified_at)

    def require_owner(self, database_id: str, *, claim: bool = True) -> None:
        """Raises ConflictError when the store is another database's, as `require_ownership`."""
        with self._translated_errors():
            require_ownership(self._files, self._root, database_id, claim=claim)

    def remove(self, artifact: StoredArtifact) -> None:
        """Remove a file, unless it was written again since it was listed; one that is gone is no error."""
        self._files.invalidate_cache(artifact.path)
        with suppress(FileNotFoundError), self._translated_errors():
            if self._modified_at(artifact.path) == artifact.modified_at:
                self._files.rm_file(artifact.path)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Whatever the client of an object store raises, and each has errors of its own, in one of ours.

        What is not there and a full disk are for the caller.
        """
        try:
            yield
        except (ServiceError, FileNotFoundError):
            raise
        except Exception as error:
            if is_disk_full(error):
                raise
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> ArtifactsUnavailableError:
        told = f"the artifact store {self._url} does not answer: {type(error).__name__}: {error}"
        remedy = "check that it can be reached, that this user may write there, and GTN_NAS_ARTIFACTS_URL"
        return ArtifactsUnavailableError(f"{redact(told)}; {remedy}")

    def _modified_at(self, path: str) -> datetime:
        modified: datetime = self._files.modified(path)
        return modified if modified.tzinfo is not None else modified.replace(tzinfo=UTC)

    def _intact(self, sha256: str) -> bool:
        try:
            self.get(sha256)
        except (NotFoundError, ArtifactCorruptError):
            return False
        return True

    def _pieces(self, path: str) -> Iterator[bytes]:
        with self._files.open(path, "rb", block_size=READ_AHEAD) as file:
            while piece := file.read(PIECE):
                yield piece

    def _path(self, sha256: str) -> str:
        if not _SHA256.fullmatch(sha256):
            raise NotFoundError("artifact", sha256)
        return f"{self._root}/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def _require_intact(sha256: str, actual: str, path: str) -> None:
    if actual != sha256:
        raise ArtifactCorruptError(sha256, actual, path)


_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE_NAME = re.compile(r"([0-9a-f]{64})(?:\.[0-9a-f]{8}\.partial)?")
