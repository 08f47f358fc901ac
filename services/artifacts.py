"""Artifacts: bytes stored under the SHA-256 of their content, in a folder or any fsspec store."""

import hashlib
import re
import secrets

from fsspec.core import url_to_fs

from services.errors import ArtifactCorruptError, NotFoundError, StoreUnavailableError


class ArtifactStore:
    """A content-addressed store; what it gives back is what was put in, or an error.

    An artifact lies at `ab/cd/abcd…`, so that no folder holds more than a share of them. Writes go to a
    name of their own and are moved into place, so a reader never meets half an artifact, and of two
    writers of one content either may win.
    """

    def __init__(self, url: str) -> None:
        """`url` is a local folder or an fsspec URL such as `s3://bucket/prefix`."""
        try:
            self._files, self._root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StoreUnavailableError(
                f"no artifact store at {url!r}: {error}; check GTN_NAS_ARTIFACTS_URL"
            ) from error

    def put(self, data: bytes) -> str:
        """Store `data`; answers its id, the SHA-256 in hex. A corrupt copy already there is replaced."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not self._intact(sha256):
            path = self._path(sha256)
            partial = f"{path}.{secrets.token_hex(4)}.partial"
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(partial, data)
            self._files.mv(partial, path)
        return sha256

    def get(self, sha256: str) -> bytes:
        """The bytes of an artifact, verified. Raises NotFoundError, ArtifactCorruptError."""
        if not _SHA256.fullmatch(sha256):
            raise NotFoundError("artifact", sha256)
        path = self._path(sha256)
        try:
            data: bytes = self._files.cat_file(path)
        except FileNotFoundError:
            raise NotFoundError("artifact", sha256) from None
        actual = hashlib.sha256(data).hexdigest()
        if actual != sha256:
            raise ArtifactCorruptError(sha256, actual, path)
        return data

    def exists(self, sha256: str) -> bool:
        """Whether there is an artifact of this id; its bytes are looked at by `get` alone."""
        return bool(_SHA256.fullmatch(sha256)) and bool(self._files.exists(self._path(sha256)))

    def _intact(self, sha256: str) -> bool:
        try:
            self.get(sha256)
        except (NotFoundError, ArtifactCorruptError):
            return False
        return True

    def _path(self, sha256: str) -> str:
        return f"{self._root}/{sha256[:2]}/{sha256[2:4]}/{sha256}"


_SHA256 = re.compile(r"[0-9a-f]{64}")
