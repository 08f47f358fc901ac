"""Settings of all processes: environment variables with the prefix GTN_NAS_, and the only defaults."""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import DirectoryPath, Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from services.lifecycle import LONGEST_LEASE_SECONDS
from services.loopback import is_loopback

MOST_DAYS = 36_500
"""A century: calendars end."""


class Settings(BaseSettings):
    """Where things are and how the processes behave. Secrets never show in `repr` or in logs."""

    model_config = SettingsConfigDict(
        env_prefix="GTN_NAS_",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
    )

    data_dir: Path = Field(
        Path("~/.local/share/gtn-nas"),
        description="Folder of the database, artifacts and resumable state of this machine.",
    )
    database_url: SecretStr | None = Field(
        None, description="sqlite:////PATH or postgresql://…; default: SQLite in the data folder."
    )
    artifacts_url: str | None = Field(
        None,
        description="Folder or fsspec URL (s3://bucket/prefix); default: `artifacts` in the data folder.",
    )
    dataset_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        (),
        description="Folders, separated as in PATH, below which the data set paths of requests must lie. "
        "Default: anywhere while no API key exists, then `datasets` in the data folder.",
    )
    secrets_dir: DirectoryPath | None = Field(
        None,
        description="Folder of files that hold single settings, as containers mount secrets: the file "
        "`gtn_nas_database_url` stands for the variable of that name.",
    )

    host: str = Field("127.0.0.1", description="Address the controller listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the controller listens on; 0: any free one.")
    api_key: SecretStr | None = Field(
        None, min_length=16, description="Bootstrap key with all scopes, beside the keys in the database."
    )

    shipped_checkpoints: bool = Field(
        True,
        description="Whether a controller that starts registers the checkpoints that come with the package.",
    )

    rate_limit_per_minute: int = Field(
        1200, ge=0, description="Requests per minute of one API key, in bursts of as many; 0: no limit."
    )
    failed_keys_per_minute: int = Field(
        60, ge=0, description="Requests per minute of one address without a valid API key; 0: no limit."
    )

    ray_address: str = Field("", description="Ray cluster of searches and ranks; empty: a local Ray per job.")
    ray_jobs_url: str = Field(
        "", description="If set, searches and trainings run as Ray Jobs submitted to this URL."
    )
    search_engine: Literal["auto", "tune", "actors"] = Field(
        "auto",
        description="What evaluates candidates on Ray: Ray Tune, or a pool of plain actors, which takes a "
        "quarter of the time per candidate and keeps nothing of those that are done. Auto: actors for "
        "searches of more than 1,000 candidates.",
    )
    max_running_trainings: int = Field(
        1,
        ge=0,
        description="Trainings and fidelity reports that run as Ray Jobs at the same time, those of "
        "meta-workers counted in; 0: they are left to meta-workers.",
    )
    training_resources: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        {"CPU": 1.0},
        description="What one of them reserves, as JSON by Ray's names: CPU, GPU, and the cluster's own. "
        "Nodes that have it need the settings and the shared folder; {}: the head.",
    )

    lease_seconds: float = Field(
        30.0, gt=0, le=LONGEST_LEASE_SECONDS, description="A runner silent for so long has lost its job."
    )
    poll_seconds: float = Field(1.0, gt=0, le=3600, description="How often idle processes look for work.")
    max_running_searches: int = Field(
        2, ge=1, description="Searches that run at the same time; the others wait in the queue."
    )
    max_attempts: int = Field(
        3, ge=1, description="A job fails when so many runners in a row died on it without any progress."
    )

    shutdown_grace_seconds: float = Field(
        10.0,
        ge=0,
        le=86_400,
        description="How long a controller that is told to end lets requests and streams end.",
    )
    resource_wait_seconds: float = Field(
        600.0,
        ge=0,
        allow_inf_nan=False,
        description="A search fails when for so long no node of the cluster could hold one candidate; "
        "0: it waits for ever. A local Ray, which gets no further node, is not waited for.",
    )

    event_retention_days: int = Field(
        0,
        ge=0,
        le=MOST_DAYS,
        description="Events of jobs that ended so long ago go, but for changes of state; 0: never.",
    )
    failed_candidate_retention_days: int = Field(
        0,
        ge=0,
        le=MOST_DAYS,
        description="Failed candidates of searches that ended so long ago keep their reason alone, without "
        "details; 0: all.",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    log_json: bool = Field(False, description="Log one JSON object per line, for machines.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - passed by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - passed by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, and the environment over the files of `secrets_dir`."""
        secrets = SecretsSettingsSource(settings_cls, secrets_dir=env_settings().get("secrets_dir"))
        return init_settings, env_settings, secrets

    @field_validator("data_dir")
    @classmethod
    def _expand_home(cls, folder: Path) -> Path:
        return folder.expanduser().absolute()

    @field_validator("data_dir")
    @classmethod
    def _require_text(cls, folder: Path) -> Path:
        try:
            str(folder).encode()  # as every name of a SQLite file is
        except UnicodeEncodeError:
            raise ValueError(
                f"{os.fsencode(folder)!r} is no text in UTF-8; give another folder, or set LC_ALL=C.UTF-8 if "
                "the locale only reads it wrongly"
            ) from None
        return folder

    @field_validator("dataset_roots", mode="before")
    @classmethod
    def _split_folders(cls, folders: Any) -> Any:
        return folders.split(os.pathsep) if isinstance(folders, str) else folders

    @field_validator("dataset_roots")
    @classmethod
    def _resolve_folders(cls, folders: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(folder.expanduser().resolve() for folder in folders)

    @field_validator("api_key", mode="before")
    @classmethod
    def _strip_key(cls, key: Any) -> Any:
        return key.strip() if isinstance(key, str) else key  # clients send it so

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower_case(cls, level: Any) -> Any:
        return level.lower() if isinstance(level, str) else level

    @property
    def resolved_database_url(self) -> str:
        """The database URL in clear, for `open_store` alone: it may hold a password."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return sqlite_url(self.data_dir / "gtn-nas.db")

    @property
    def log_dir(self) -> Path:
        """Where child processes log."""
        return self.data_dir / "logs"

    @property
    def resolved_artifacts_url(self) -> str:
        """Where artifacts live."""
        return self.artifacts_url or str(self.data_dir / "artifacts")

    @property
    def dataset_folders(self) -> tuple[Path, ...]:
        """Folders in which a data set lies under its own name, if a checkpoint does not say where."""
        return self.dataset_roots or (self.data_dir / "datasets",)

    @property
    def one_machine(self) -> bool:
        """Whether all processes share this machine's files: the database is one of them."""
        return self.resolved_database_url.startswith("sqlite")

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the controller."""
        return is_loopback(self.host)


def sqlite_url(file: Path) -> str:
    """The URL of a SQLite database in `file`, whose name may hold what URLs give a meaning, as % and ?."""
    return f"sqlite:///{quote(str(file))}"


def names_given(settings: Settings) -> list[str]:
    """All variables of the environment, and those that files of secrets stand for."""
    files = [path.name.upper() for path in settings.secrets_dir.iterdir()] if settings.secrets_dir else []
    return [*os.environ, *files]


def misspelt(variables: Iterable[str]) -> dict[str, str]:
    """Environment variables that are no settings and are nearly the name of one, with that name.

    What is like none is left alone: Kubernetes puts variables of such names into its pods.
    """
    prefix = "GTN_NAS_"
    settings = [name.upper() for name in Settings.model_fields]
    names = [name.removeprefix(prefix) for name in variables if name.startswith(prefix)]
    meant = {name: get_close_matches(name, settings, n=1, cutoff=0.75) for name in names}
    return {prefix + name: prefix + near[0] for name, near in meant.items() if near and near != [name]}
