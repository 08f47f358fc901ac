# syntax=docker/dockerfile:1
# The controller: HTTP service, dispatcher and `gtn-nas db upgrade`. It needs no GPU.
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim AS build
# The build's label is part of the version, so no index can put a CUDA wheel in the place of a CPU one.
ARG TORCH_VERSION=2.13.0
ARG TORCH_BUILD=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl
# The Ray version of the whole cluster: ray-node.Dockerfile has the same.
ARG RAY_VERSION=2.60.0
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:${PATH}
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --index-url "${TORCH_INDEX}/${TORCH_BUILD}" "torch==${TORCH_VERSION}+${TORCH_BUILD}"
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install "ray[default,tune]==${RAY_VERSION}"
# Plugins, and drivers of other storage, for example "s3fs".
ARG EXTRA_PACKAGES
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY gtn_core gtn_core
COPY nas nas
COPY services services
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install . ${EXTRA_PACKAGES}

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
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
CMD ["gtn-nas", "serve"]
