"""`gtn-nas api-key` and `gtn-nas db`: administration, on the database directly."""

import re
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import options
from services.cli.console import advise, print_json, say, short_time
from services.cli.tables import Column, Rows, print_table

if TYPE_CHECKING:
    from services.settings import Settings
    from services.store import ApiKeyRecord

api_key_app = typer.Typer(help="API keys.", no_args_is_help=True)
db_app = typer.Typer(
    help="The database: its schema, copies, and what nothing in it refers to.", no_args_is_help=True
)

KEY_COLUMNS = (
    Column("id"),
    Column("name", folds_to=12),
    Column("scopes"),
    Column("created"),
    Column("last used"),
    Column("revoked"),
)


@api_key_app.command()
@options.takes_settings(*options.DATABASE)
def create(
    settings: "Settings",
    name: Annotated[str, typer.Argument(help="Whose key it is, or what for.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="read, submit or admin; each includes those before it.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Create an API key and print it; it cannot be shown again.

    Example: `gtn-nas api-key create alice --scope submit`
    """
    from services.store import Scope, upgrade
    from services.wiring import make_store

    unknown = set(scope or []) - set(Scope)
    if unknown:
        raise typer.BadParameter(f"unknown scope {', '.join(sorted(unknown))}; known: {', '.join(Scope)}")
    upgrade(settings.resolved_database_url)
    with make_store(settings) as store:
        key, token = store.create_api_key(name, [Scope(each) for each in scope or [Scope.SUBMIT]])
    if as_json:
        print_json(_without_secret(key) | {"token": token})
    else:
        say(token)
    advise(f"key {key.id} ({', '.join(key.scopes)}); it is shown this once")


@api_key_app.command("list")
@options.takes_settings(*options.DATABASE)
def list_keys(settings: "Settings", as_json: options.AsJson = False) -> None:
    """List API keys, without their secrets.

    Example: `gtn-nas api-key list`
    """
    from services.wiring import make_store

    with make_store(settings) as store:
        keys = store.list_api_keys()
    if as_json:
        print_json([_without_secret(key) for key in keys])
        return
    print_table(Rows(KEY_COLUMNS, [_cells(key) for key in keys]))


@api_key_app.command()
@options.takes_settings(*options.DATABASE)
def revoke(
    settings: "Settings",
    key: Annotated[str, typer.Argument(help="Id of the key, as `gtn-nas api-key list` shows it.")],
    as_json: options.AsJson = False,
) -> None:
    """Make an API key useless from now on.

    Example: `gtn-nas api-key revoke 5b1c9e0d4a7f2233`
    """
    from services.wiring import make_store

    with make_store(settings) as store:
        revoked = store.revoke_api_key(key)
        last = all(each.revoked_at for each in store.list_api_keys())
    if as_json:
        print_json(_without_secret(revoked))
    else:
        say(f"revoked {revoked.id}")
    if last:
        advise("no key is left in the database, and requests still need one: `gtn-nas api-key create`")


@db_app.command("upgrade")
@options.takes_settings(*options.DATABASE)
def upgrade_database(settings: "Settings", as_json: options.AsJson = False) -> None:
    """Create the database's schema, or bring it to this version.

    Example: `gtn-nas db upgrade --database-url postgresql://gtn_nas@localhost/gtn_nas`
    """
    from services.store import head, upgrade

    upgrade(settings.resolved_database_url)
    _tell_revision(head(), head(), as_json=as_json)


@db_app.command("downgrade")
@options.takes_settings(*options.DATABASE)
def downgrade_database(
    settings: "Settings",
    revision: Annotated[
        str, typer.Argument(help="What `gtn-nas db current` of the earlier version says that it needs.")
    ],
    as_json: options.AsJson = False,
) -> None:
    """Take the database back to an earlier version's schema, before that version is installed again.

    What was found since stays, but for what the earlier schema has no place for: back it up first. Nothing
    may use the database meanwhile.

    Example: `gtn-nas db downgrade 0010`
    """
    from services.store import downgrade, head

    if not re.fullmatch(r"\d{4}", revision):  # Alembic's `base` would empty the database
        raise typer.BadParameter(f"a schema has four digits, such as {head()}, not {revision!r}")
    downgrade(settings.resolved_database_url, revision)
    _tell_revision(revision, head(), as_json=as_json)


@db_app.command("current")
@options.takes_settings(*options.DATABASE)
def current_schema(settings: "Settings", as_json: options.AsJson = False) -> None:
    """Print the revision of the database's schema; exit code 1 when it is not this version's.

    Example: `gtn-nas db current`
    """
    from services.store import current, head, remedy

    revision = current(settings.resolved_database_url)
    _tell_revision(revision, head(), as_json=as_json)
    if revision != head():
        advise(f"this version needs {head()}; {remedy(revision)}")
        raise typer.Exit(1)


@db_app.command("backup")
@options.takes_settings(*options.DATABASE)
def back_up_database(
    settings: "Settings",
    path: Annotated[Path, typer.Argument(help="File to make; it must not be there yet.", dir_okay=False)],
    as_json: options.AsJson = False,
) -> None:
    """Copy a SQLite database to a file, also while the services run; for PostgreSQL there is pg_dump.

    Checkpoints, weights and pictures are files of their own: copy `artifacts` in the data directory after
    this, so that nothing is missing that the copy refers to. To go back, put those where they were while
    nothing runs, and restore the database with `gtn-nas db restore`.

    Example: `gtn-nas db backup gtn-nas-2026-11-29.db`
    """
    from services.store import back_up

    size = back_up(settings.resolved_database_url, path)
    if as_json:
        print_json({"path": str(path), "size_bytes": size})
    else:
        say(f"{path}: {size} bytes")


@db_app.command("restore")
@options.takes_settings(*options.DATABASE)
def restore_database(
    settings: "Settings",
    path: Annotated[Path, typer.Argument(help="File that `gtn-nas db backup` made.", exists=True)],
    as_json: options.AsJson = False,
) -> None:
    """Make a SQLite database what it was when a copy of it was made; nothing may use it meanwhile.

    What it holds now is lost: back that up first if it is worth anything. The copy stays as it is.

    Example: `gtn-nas db restore gtn-nas-2026-11-29.db`
    """
    from services.store import restore

    restore(settings.resolved_database_url, path)
    if as_json:
        print_json({"restored_from": str(path)})
    else:
        say(f"restored from {path}")


@db_app.command("copy")
@options.takes_settings(*options.DATABASE)
def copy_into(
    settings: "Settings",
    target: Annotated[
        str, typer.Argument(help="URL of a database that is new: postgresql://… or sqlite:///…")
    ],
    as_json: options.AsJson = False,
) -> None:
    """Copy the whole database into one that is empty, such as a PostgreSQL when one machine grows to many.

    Stop controllers and workers before, and start them afterwards with the copy as GTN_NAS_DATABASE_URL: jobs
    go on there. Checkpoints, weights and pictures are files and stay where they are. Leave the old database
    alone from then on: the files would be tidied up for each of the two.

    Example: `gtn-nas db copy postgresql://gtn_nas@localhost/gtn_nas`
    """
    from services.store import copy_database

    def tell(table: str, rows: int) -> None:
        if rows:
            advise(f"{table}: {rows:,}")

    rows = copy_database(settings.resolved_database_url, target, on_table=tell)
    if as_json:
        print_json({"rows": rows})
    else:
        say(f"{sum(rows.values()):,} rows copied; start again with GTN_NAS_DATABASE_URL naming the copy")


@db_app.command("collect")
@options.takes_settings(*options.DATABASE)
def collect_garbage(
    settings: "Settings",
    grace_hours: Annotated[
        float, typer.Option(min=1, help="Spare artifacts younger than this: somebody may be writing them.")
    ] = 24,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be removed.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Remove stored files that no checkpoint and no job refers to; the controller does so every hour.

    Example: `gtn-nas db collect --dry-run`
    """
    from services.dispatch.housekeeping import collect_artifacts
    from services.wiring import make_artifacts, make_store

    with make_store(settings) as store:
        removed = collect_artifacts(
            store, make_artifacts(settings), grace_seconds=3600 * grace_hours, dry_run=dry_run
        )
    if as_json:
        print_json(asdict(removed) | {"dry_run": dry_run})
    else:
        verb = "would remove" if dry_run else "removed"
        say(f"{verb} {removed.artifacts} files, {removed.size_bytes} bytes")


def _without_secret(key: "ApiKeyRecord") -> dict[str, Any]:
    values = asdict(key)
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()
    }


def _cells(key: "ApiKeyRecord") -> tuple[str, ...]:
    times = (key.created_at, key.last_used_at, key.revoked_at)
    return (key.id, key.name, ", ".join(key.scopes), *map(short_time, times))


def _tell_revision(revision: str | None, needed: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"revision": revision, "needed": needed})
    else:
        say("no schema" if revision is None else revision)
