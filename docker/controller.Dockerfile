# The controller of a cluster: HTTP service, dispatcher and `gtn-nas db upgrade`. It scores and trains nothing,
# so it has neither PyTorch nor Ray; it talks to the cluster over HTTP (GTN_NAS_RAY_JOBS_URL).
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim AS build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:${PATH}
# Plugins, and drivers of other storage, for example "s3fs".
ARG EXTRA_PACKAGES
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
# What the package depends on, without what only learning needs.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c "import tomllib; \
needed = tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']; \
print(*(each for each in needed if not each.startswith(('torch', 'ray', 'optuna', 'scikit-learn'))), sep='\n')" \
        > requirements.txt \
    && pip install --requirement requirements.txt ${EXTRA_PACKAGES}
COPY gtn_core gtn_core
COPY nas nas
COPY services services
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps .

FROM python:${PYTHON_VERSION}-slim
RUN useradd --uid 10001 --create-home gtn-nas \
    && install --directory --owner=gtn-nas --group=gtn-nas /var/lib/gtn-nas
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    GTN_NAS_DATA_DIR=/var/lib/gtn-nas
USER 10001:10001
WORKDIR /home/gtn-nas
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8000/healthz', timeout=3)"]
CMD ["gtn-nas", "serve"]
