"""Log lines for people: one message begins one line, whatever it holds."""

import io
import logging
from pathlib import Path

import pytest
import structlog

from services.logging import configure_logging
from services.settings import Settings


@pytest.mark.parametrize("terminal", [True, False])
def test_what_others_sent_commands_no_terminal_and_begins_no_line(
    tmp_path: Path, stderr_of_logs: io.StringIO, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(stderr_of_logs, "isatty", lambda: terminal)
    configure_logging(Settings(data_dir=tmp_path), process="test")
    forged = "2026-01-01T00:00:00Z [info     ] key created"
    log = structlog.get_logger("test")
    log.info("request", path="/\x1b[2J\u202e")
    logging.getLogger("a.library").warning("refused %s", f"\x1b[2J\n{forged}")
    try:
        raise ValueError(f"\x1b[2J\n{forged}")
    except ValueError:
        log.exception("failed")

    text = stderr_of_logs.getvalue()
    assert "\x1b[2J" not in text
    assert r"/\x1b[2J\u202e" in text
    lines = text.splitlines()
    assert [line for line in lines if line.startswith(forged)] == []
    assert len([line for line in lines if not line.startswith("    ")]) == 3
