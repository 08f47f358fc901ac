"""The controller's application: its parts put together, and how they start and end."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from services.controller.cluster import cluster_view
from services.controller.error_handlers import install_error_handlers
from services.controller.event_feed import EventFeed
from services.controller.head_requests import HeadRequests
from services.controller.heavy_requests import Turns
from services.controller.limits import BodyLimit
from services.controller.metrics import Metrics
from services.controller.openapi import TAGS, document_api
from services.controller.pages import ROUTERS as PAGES
from services.controller.pages.page import page_not_found
from services.controller.pictures import CheckpointPictures
from services.controller.rate_limits import RateLimits
from services.controller.readiness import BackgroundDispatcher, ReadinessProbe
from services.controller.request_log import RequestLog
from services.controller.routes import ROUTERS
from services.controller.routes.docs import ASSETS
from services.controller.static_files import VersionedFiles
from services.dashboard import STATIC, compile_templates
from services.settings import Settings
from services.wiring import make_artifacts, make_store


def create_app(settings: Settings, *, dispatcher: BackgroundDispatcher | None = None) -> FastAPI:
    """The application behind `settings`; the dispatcher, if there is one, lives as long as it does.

    Raises StoreUnavailableError or SchemaMismatchError when the database cannot be used.
    """
    store, artifacts = make_store(settings), make_artifacts(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if dispatcher is not None:
            dispatcher.start()
        threading.Thread(target=compile_templates, name="compile-templates", daemon=True).start()
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
    app.state.database_id = store.database_id()
    app.state.dispatcher = dispatcher
    app.state.readiness = readiness = ReadinessProbe(store, artifacts, dispatcher)
    app.state.streams = streams = EventFeed(store)
    app.state.metrics = Metrics(
        store,
        open_streams=lambda: streams.open,
        cluster=lambda: cluster_view(store, settings.ray_jobs_url),
        readiness=readiness.look,
    )
    app.state.rate_limits = RateLimits(
        per_key=settings.rate_limit_per_minute, failures_per_address=settings.failed_keys_per_minute
    )
    app.state.turns = Turns()
    app.state.pictures = CheckpointPictures(artifacts)
    app.add_middleware(BodyLimit)
    app.add_middleware(HeadRequests)
    app.add_middleware(RequestLog, metrics=app.state.metrics)  # added last: outermost
    install_error_handlers(app)
    app.add_exception_handler(HTTPException, page_not_found)
    for router in (*ROUTERS, *PAGES):
        app.include_router(router)
    app.mount("/assets", StaticFiles(directory=ASSETS), name="assets")
    app.mount("/static", VersionedFiles(STATIC), name="static")
    document_api(app)
    return app
