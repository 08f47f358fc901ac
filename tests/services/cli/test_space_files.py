"""`--space FILE` stands for the macro space that the file describes."""

from pathlib import Path

import pytest
import typer

from services.cli.options import named_config


def test_a_file_is_the_description_of_a_macro_space(tmp_path: Path) -> None:
    file = tmp_path / "my-space.toml"
    file.write_text('[[stages]]\nblock = "plain"\nwidth = [8, 16]\n')
    assert named_config("space", str(file), None) == {
        "name": "macro",
        "description": {"stages": [{"block": "plain", "width": [8, 16]}]},
    }
    assert named_config("space", "nasbench201", ["channels=8"]) == {"name": "nasbench201", "channels": 8}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match=r"absent\.toml"):
        named_config("space", str(tmp_path / "absent.toml"), None)
