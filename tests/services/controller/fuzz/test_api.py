"""Schemathesis on the whole API of a running controller: what it answers is what the document says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI

from services.settings import Settings
from services.store import Scope, Store

# Not checked: that whatever fits the schema is accepted (cursors and ids have to exist, a fact that no schema
# tells), and that "1" and true are no numbers (they are read as 1, as pydantic does everywhere).
LEFT_OUT = ("positive_data_acceptance", "negative_data_rejection")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"rate_limit_per_minute": 0, "failed_keys_per_minute": 0})


@pytest.fixture
def live_app(app: FastAPI) -> FastAPI:
    return app


@pytest.mark.timeout(900)
def test_the_api_does_what_its_document_says(
    live_url: str, store: Store, scored_search: str, examples: int, tmp_path: Path
) -> None:
    store.finish(scored_search, "runner", result={})
    _, token = store.create_api_key("fuzzer", [Scope.ADMIN])
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{live_url}/openapi.json", "--no-color",
        "--header", f"Authorization: Bearer {token}", "--seed", "1", "--generation-deterministic",
        "--max-examples", str(max(3, examples // 5)), "--checks", "all",
        "--exclude-checks", ",".join(LEFT_OUT),
        "--exclude-operation-id-regex", "^follow_",  # a stream of a job that waits does not end
        "--request-timeout", "30",
    ]  # fmt: skip
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr
    tested = re.search(r"Tested: (\d+)", run.stdout)
    assert tested is not None
    assert int(tested[1]) > 50, "it saw the whole API"
