"""The packages point one way: services -> nas -> gtn_core."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_import_linter_contracts_hold() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    command = str(lint_imports) if lint_imports.exists() else shutil.which("lint-imports")
    assert command, "import-linter is not installed; run `make install`"
    result = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_ray_appears_in_the_engines_of_nas_and_sqlalchemy_and_fastapi_each_in_one_package() -> None:
    allowed = {
        "ray": (
            "nas/cluster/",
            "nas/tune_engine/",
            "nas/actor_engine/",
            "services/ray_session.py",
            "services/meta_worker/distributed.py",
        ),
        "sqlalchemy": ("services/store/",),
        "fastapi": ("services/controller/",),
    }
    strays = [
        f"{path}: {library}"
        for package in ("gtn_core", "nas", "services")
        for file in sorted((ROOT / package).rglob("*.py"))
        for path in [file.relative_to(ROOT).as_posix()]
        for library, homes in allowed.items()
        if _imports(file, library) and not path.startswith(homes)
    ]
    assert strays == []


def _imports(file: Path, library: str) -> bool:
    return any(
        line.strip().startswith((f"import {library}", f"from {library}"))
        for line in file.read_text().splitlines()
    )
