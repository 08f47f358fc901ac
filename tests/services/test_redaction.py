"""Secrets in text: taken out, whatever brought them there; the rest of the text stays."""

import io
import logging
from pathlib import Path

import pytest
import structlog

from services.errors import ClusterUnavailableError
from services.logging import configure_logging
from services.redaction import redact, redactor
from services.settings import Settings

TOKEN = "gtn_0123456789ab_" + "aB3-_" * 8 + "xyz"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (f"key {TOKEN} is wrong", "key gtn_0123456789ab_*** is wrong"),
        ("to postgresql://nas:p4ss@db/nas now", "to postgresql://nas:***@db/nas now"),
        ("{'Authorization': 'Bearer abcdefghijklmnopq'}", "{'Authorization': 'Bearer ***'}"),
        ("authorization: Basic bmFzOnA0c3M=", "authorization: Basic ***"),
        ("host=db user=nas password=p4ss dbname=nas", "host=db user=nas password=*** dbname=nas"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, cleaned: str) -> None:
    assert redact(text) == cleaned


def test_what_jobs_wait_for_tells_no_password_of_the_cluster() -> None:
    away = ClusterUnavailableError("Ray at http://nas:p4ss@head:8265 does not answer")
    assert str(away) == "Ray at http://nas:***@head:8265 does not answer"


@pytest.mark.parametrize(
    "text",
    [
        "there is nothing at /v1/searches/gtn_x",
        "http://127.0.0.1:8000/v1/searches?cursor=a:b",
        "basic authentication is not offered; send the header Authorization: Bearer KEY",
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    cleaned = redact(text)
    assert cleaned.replace("***", "KEY") == text


def test_the_secrets_of_the_settings_are_known_in_every_spelling(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        api_key='boot"strap key+1234',
        database_url="postgresql://nas:p%40ss%2Fword@db/nas",
    )
    clean = redactor(settings)

    assert clean('X boot"strap key+1234 Y') == "X *** Y"
    assert clean('X boot\\"strap key+1234 Y') == "X *** Y"
    assert clean("X boot%22strap%20key%2B1234 Y") == "X *** Y"
    assert clean("password p@ss/word, p%40ss%2Fword") == "password ***, ***"


@pytest.mark.parametrize("log_json", [True, False])
def test_no_secret_is_logged_not_even_in_a_traceback(
    tmp_path: Path, stderr_of_logs: io.StringIO, log_json: bool
) -> None:
    settings = Settings(
        data_dir=tmp_path, log_json=log_json, log_level="debug", database_url="postgresql://u:hunter22@h/d"
    )
    configure_logging(settings, process="test")
    try:
        raise RuntimeError(f"no connection as hunter22 with {TOKEN}")
    except RuntimeError:
        structlog.get_logger("test").exception("failed", token=TOKEN)
    logging.getLogger("a.library").debug("sent Authorization: Bearer %s", TOKEN)

    lines = stderr_of_logs.getvalue()
    assert "RuntimeError" in lines
    assert "a.library" in lines
    assert "hunter22" not in lines
    assert TOKEN not in lines
