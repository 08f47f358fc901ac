"""Content-addressed bytes: what comes back is what went in, or an error."""

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.artifacts import PIECE, ArtifactStore
from services.errors import ArtifactCorruptError, ArtifactsUnavailableError, NotFoundError, is_disk_full


@pytest.fixture(scope="session")
def s3_bucket() -> Iterator[str]:
    """A bucket of an S3-compatible server on a port of its own, with the extra `s3` installed."""
    s3fs = pytest.importorskip("s3fs", reason="needs the extra `s3`")
    server = pytest.importorskip("moto.server", reason="needs moto[server]").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        s3fs.S3FileSystem().mkdir("artifacts")
        yield "s3://artifacts"
    server.stop()


@pytest.fixture(params=["folder", "file URL", "memory URL", "s3 URL"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    match request.param:
        case "folder":
            return ArtifactStore(str(tmp_path / "50 % of [all]? #1*"))
        case "file URL":
            return ArtifactStore(f"file://{tmp_path}/artifacts")
        case "memory URL":
            return ArtifactStore(f"memory://{tmp_path.name}")
        case _:
            return ArtifactStore(f"{request.getfixturevalue('s3_bucket')}/{tmp_path.name}")


@pytest.mark.parametrize("data", [b"", b"weights", os.urandom(100_000)])
def test_round_trip_under_the_hash_of_the_content(artifacts: ArtifactStore, data: bytes):
    sha256 = artifacts.put(data)
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert artifacts.get(sha256) == data
    assert b"".join(artifacts.read(sha256)) == data
    assert _holds(artifacts, sha256)


def test_what_is_large_is_read_in_pieces(artifacts: ArtifactStore):
    data = os.urandom(PIECE + 1)
    assert [len(piece) for piece in artifacts.read(artifacts.put(data))] == [PIECE, 1]


def test_what_is_stored_can_be_listed_and_removed(artifacts: ArtifactStore):
    assert list(artifacts.stored()) == []
    sha256 = artifacts.put(b"weights")
    (found,) = artifacts.stored()
    assert (found.id, found.size_bytes) == (sha256, len(b"weights"))
    assert abs(datetime.now(UTC) - found.modified_at) < timedelta(minutes=5)
    artifacts.remove(found)
    artifacts.remove(found)
    assert not _holds(artifacts, sha256)


def test_the_same_content_is_stored_once(tmp_path: Path):
    artifacts = ArtifactStore(str(tmp_path))
    sha256 = artifacts.put(b"weights")
    written = (tmp_path / sha256[:2] / sha256[2:4] / sha256).stat()
    assert artifacts.put(b"weights") == sha256
    assert (tmp_path / sha256[:2] / sha256[2:4] / sha256).stat().st_mtime_ns == written.st_mtime_ns
    assert _files(tmp_path) == [sha256], "no partial file stays behind"


@pytest.mark.parametrize("sha256", ["0" * 64, "../../etc/passwd", "", "0" * 63, "A" * 64, "0" * 64 + "\n"])
def test_what_is_not_there_is_not_found(artifacts: ArtifactStore, sha256: str):
    assert not _holds(artifacts, sha256)
    for read in (artifacts.get, artifacts.read):
        with pytest.raises(NotFoundError, match="no artifact"):
            read(sha256)


@pytest.mark.parametrize("damage", [b"", b"weight", b"weightz"])
def test_damage_is_noticed_on_reading_and_repaired_by_writing(tmp_path: Path, damage: bytes):
    artifacts = ArtifactStore(str(tmp_path))
    sha256 = artifacts.put(b"weights")
    (tmp_path / sha256[:2] / sha256[2:4] / sha256).write_bytes(damage)
    for read in (artifacts.get, artifacts.read):
        with pytest.raises(ArtifactCorruptError, match=f"artifact {sha256} at .* is corrupt"):
            read(sha256)
    artifacts.put(b"weights")
    assert artifacts.get(sha256) == b"weights"


def test_a_reader_never_meets_half_an_artifact(tmp_path: Path):
    """Writers of one content at once: each read either finds nothing or everything."""
    data = os.urandom(4_000_000)
    sha256 = hashlib.sha256(data).hexdigest()
    writers = [threading.Thread(target=ArtifactStore(str(tmp_path)).put, args=(data,)) for _ in range(4)]
    for writer in writers:
        writer.start()
    reads = []
    while any(writer.is_alive() for writer in writers):
        try:
            reads.append(ArtifactStore(str(tmp_path)).get(sha256))
        except NotFoundError:
            continue
    assert all(read == data for read in reads)
    assert _files(tmp_path) == [sha256]


def test_an_unusable_url_is_refused_with_the_name_of_its_setting():
    with pytest.raises(ArtifactsUnavailableError, match=r"nosuchprotocol.*GTN_NAS_ARTIFACTS_URL"):
        ArtifactStore("nosuchprotocol://bucket")


@pytest.mark.parametrize(
    "use",
    [
        lambda artifacts: artifacts.put(b"weights"),
        lambda artifacts: artifacts.get("0" * 64),
        lambda artifacts: artifacts.read("0" * 64),
        lambda artifacts: artifacts.check(),
        lambda artifacts: list(artifacts.stored()),
        lambda artifacts: artifacts.require_owner("0" * 32),
    ],
    ids=["put", "get", "read", "check", "stored", "require_owner"],
)
def test_an_object_store_that_is_away_is_told_as_such(
    use: Callable[[ArtifactStore], object], monkeypatch: pytest.MonkeyPatch
):
    s3fs = pytest.importorskip("s3fs", reason="needs the extra `s3`")
    monkeypatch.setattr(s3fs.S3FileSystem, "cachable", False)  # else it is the one of the tests above
    for name, value in {
        "ENDPOINT_URL": "http://127.0.0.1:1",
        "MAX_ATTEMPTS": "1",
        "DEFAULT_REGION": "us-east-1",
        "ACCESS_KEY_ID": "test",
        "SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with pytest.raises(
        ArtifactsUnavailableError, match=r"s3://away/x does not answer.*connect.*GTN_NAS_ARTIFACTS_URL"
    ):
        use(ArtifactStore("s3://away/x"))


def test_a_folder_that_cannot_be_used_is_away_and_a_full_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactsUnavailableError, match="file/artifacts does not answer: NotADirectoryError"):
        ArtifactStore(str(tmp_path / "file" / "artifacts")).put(b"weights")
    (tmp_path / "link").symlink_to(tmp_path / "not mounted")
    with pytest.raises(ArtifactsUnavailableError, match="link does not answer: FileNotFoundError"):
        ArtifactStore(str(tmp_path / "link")).put(b"weights")

    def full(*_given: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.pipe_file", full)
    with pytest.raises(OSError, match="No space") as caught:
        ArtifactStore(str(tmp_path)).put(b"weights")
    assert is_disk_full(caught.value)


def _holds(artifacts: ArtifactStore, sha256: str) -> bool:
    try:
        artifacts.get(sha256)
    except NotFoundError:
        return False
    return True


def _files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]
