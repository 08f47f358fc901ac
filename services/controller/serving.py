"""The controller as a process: schema, key and port are checked before anything is served."""

from importlib.util import find_spec

import structlog

from services.controller.app import create_app
from services.controller.security import require_key_beyond_loopback
from services.controller.server import ControllerServer
from services.controller.shipped_checkpoints import register_shipped_checkpoints
from services.dispatch.lanes import make_dispatcher
from services.errors import ArtifactsUnavailableError, ServiceError
from services.logging import configure_logging
from services.ports import listen
from services.redaction import redact
from services.settings import Settings
from services.store import Store, upgrade
from services.telemetry import configure_telemetry
from services.wiring import make_artifacts, make_store

log = structlog.get_logger(__name__)


def serve(settings: Settings) -> None:
    """Serve the API and dispatch searches until SIGTERM or Ctrl-C. Raises ServiceError when it cannot start.

    A SQLite file belongs to this machine, so its schema is brought to this version here; that of a
    PostgreSQL server is the business of `gtn-nas db upgrade`.
    """
    configure_logging(settings, process="controller")
    configure_telemetry(process="controller")
    if not settings.ray_jobs_url and find_spec("torch") is None:
        raise ServiceError(
            "searches would run here, without PyTorch: set GTN_NAS_RAY_JOBS_URL, or install torch"
        )
    if settings.resolved_database_url.startswith("sqlite"):
        upgrade(settings.resolved_database_url)
    with make_store(settings) as store, listen(settings.host, settings.port) as listener:
        require_key_beyond_loopback(settings, store)
        if settings.shipped_checkpoints:
            _register_shipped_checkpoints(store, settings)
        port: int = listener.getsockname()[1]
        app = create_app(
            settings.model_copy(update={"port": port}), dispatcher=make_dispatcher(store, settings)
        )
        ControllerServer(app, host=settings.host, port=port).run(sockets=[listener])


def _register_shipped_checkpoints(store: Store, settings: Settings) -> None:
    """A store of artifacts that is away or full keeps nobody from looking at results, or from making room."""
    try:
        register_shipped_checkpoints(store, make_artifacts(settings))
    except (ArtifactsUnavailableError, OSError) as error:
        log.warning(
            "the checkpoints of the package wait for the next start",
            artifacts=redact(settings.resolved_artifacts_url),
            reason=str(error),
        )
