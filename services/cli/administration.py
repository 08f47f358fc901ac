"""`gtn-nas api-key` and `gtn-nas db`: administration, on the database directly."""

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import options
from services.cli.console import advise, print_json, say, stdout

if TYPE_CHECKING:
    from services.store import ApiKeyRecord

api_key_app = typer.Typer(help="API keys.", no_args_is_help=True)
db_app = typer.Typer(help="The database's schema.", no_args_is_help=True)


@api_key_app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, or what for.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="read, submit or admin; each includes those before it.")
    ] = None,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Create an API key and print it; it cannot be shown again.

    Example: `gtn-nas api-key create alice --scope submit`
    """
    from services.store import Scope, upgrade
    from services.wiring import load_settings, make_store

    unknown = set(scope or []) - set(Scope)
    if unknown:
        raise typer.BadParameter(f"unknown scope {', '.join(sorted(unknown))}; known: {', '.join(Scope)}")
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    upgrade(settings.resolved_database_url)
    with make_store(settings) as store:
        key, token = store.create_api_key(name, [Scope(each) for each in scope or [Scope.SUBMIT]])
    say(token)
    advise(f"key {key.id} ({', '.join(key.scopes)}); it is shown this once")


@api_key_app.command("list")
def list_keys(
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """List API keys, without their secrets.

    Example: `gtn-nas api-key list`
    """
    from services.wiring import load_settings, make_store

    with make_store(load_settings(data_dir=data_dir, database_url=database_url)) as store:
        keys = store.list_api_keys()
    if as_json:
        print_json([_without_secret(key) for key in keys])
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("id", "name", "scopes", "created", "last used", "revoked", box=SIMPLE_HEAD)
    for key in keys:
        times = (key.created_at, key.last_used_at, key.revoked_at)
        table.add_row(key.id, key.name, ", ".join(key.scopes), *map(_local_time, times))
    stdout().print(table)


@api_key_app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Id of the key, as `gtn-nas api-key list` shows it.")],
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Make an API key useless from now on.

    Example: `gtn-nas api-key revoke 5b1c9e0d4a7f2233`
    """
    from services.wiring import load_settings, make_store

    with make_store(load_settings(data_dir=data_dir, database_url=database_url)) as store:
        say(f"revoked {store.revoke_api_key(key).id}")


@db_app.command("upgrade")
def upgrade_database(data_dir: options.DataDir = None, database_url: options.DatabaseUrl = None) -> None:
    """Create the database's schema, or bring it to this version.

    Example: `gtn-nas db upgrade --database-url postgresql://gtn_nas@localhost/gtn_nas`
    """
    from services.store import head, upgrade
    from services.wiring import load_settings

    upgrade(load_settings(data_dir=data_dir, database_url=database_url).resolved_database_url)
    say(head())


@db_app.command("current")
def current_schema(data_dir: options.DataDir = None, database_url: options.DatabaseUrl = None) -> None:
    """Print the revision of the database's schema; exit code 1 when it is not this version's.

    Example: `gtn-nas db current`
    """
    from services.store import current, head
    from services.wiring import load_settings

    revision = current(load_settings(data_dir=data_dir, database_url=database_url).resolved_database_url)
    say(revision or "no schema")
    if revision != head():
        advise(f"this version needs {head()}; run `gtn-nas db upgrade`")
        raise typer.Exit(1)


def _without_secret(key: "ApiKeyRecord") -> dict[str, Any]:
    values = asdict(key)
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()
    }


def _local_time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M}"
