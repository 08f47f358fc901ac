"""The controller's application: its parts put together, and how they start and end."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from services.artifacts import ArtifactStore
from services.checkpoints import load_checkpoint
from services.controller.cluster import cluster_view
from services.controller.error_handlers import install_error_handlers
from services.controller.event_feed import EventFeed
from services.controller.limits import BodyLimit
from services.controller.metrics import Metrics
from services.controller.openapi import TAGS, document_api
from services.controller.rate_limits import RateLimits
from services.controller.readiness import BackgroundDispatcher
from services.controller.request_log import RequestLog
from services.controller.routes import ROUTERS
from services.controller.routes.docs import ASSETS
from services.settings import Settings
from services.wiring import make_artifacts, make_store

PICTURES_KEPT = 64


def create_app(settings: Settings, *, dispatcher: BackgroundDispatcher | None = None) -> FastAPI:
    """The application behind `settings`; the dispatcher, if there is one, lives as long as it does.

    Raises StoreUnavailableError or SchemaMismatchError when the database cannot be used.
    """
    store, artifacts = make_store(settings), make_artifacts(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if dispatcher is not None:
            dispatcher.start()
        yield
        app.state.streams.close()
        if dispatcher is not None:
            dispatcher.stop()
        store.close()

    app = FastAPI(
        title="GTN-NAS",
        summary="Neural architecture search on Generative Teaching Networks.",
        version=version("gtn-nas"),
        openapi_tags=TAGS,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,
        docs_url=None,  # routes/docs.py
        redoc_url=None,
    )
    app.state.settings, app.state.store, app.state.artifacts = settings, store, artifacts
    app.state.dispatcher = dispatcher
    app.state.streams = streams = EventFeed(store)
    app.state.metrics = Metrics(
        store,
        open_streams=lambda: streams.open,
        cluster=lambda: cluster_view(store, settings.ray_jobs_url),
    )
    app.state.rate_limits = RateLimits(
        per_key=settings.rate_limit_per_minute, failures_per_address=settings.failed_keys_per_minute
    )
    app.state.samples = lru_cache(PICTURES_KEPT)(partial(_draw, artifacts, threading.Lock()))
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestLog, metrics=app.state.metrics)  # added last: outermost
    install_error_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/assets", StaticFiles(directory=ASSETS), name="assets")
    document_api(app)
    return app


def _draw(artifacts: ArtifactStore, one_at_a_time: threading.Lock, checkpoint_id: str) -> bytes:
    """The picture of a checkpoint's synthetic data; each may take a gibibyte while it is made."""
    from gtn_core.pictures import synthetic_samples_png  # Pillow comes with it: only who draws waits

    with one_at_a_time:
        return synthetic_samples_png(load_checkpoint(artifacts, checkpoint_id))
