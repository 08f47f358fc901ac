"""The controller's start where something is amiss."""

from pathlib import Path

import pytest

from services.controller.server import ControllerServer
from services.controller.serving import serve
from services.settings import Settings


def test_a_store_of_artifacts_that_takes_nothing_does_not_keep_it_from_serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    served: list[ControllerServer] = []
    monkeypatch.setattr(ControllerServer, "run", lambda server, sockets: served.append(server))
    monkeypatch.setattr("services.controller.serving.configure_logging", lambda *_, **__: None)
    serve(Settings(data_dir=tmp_path, artifacts_url=str(tmp_path / "file" / "artifacts"), port=0))
    assert len(served) == 1
