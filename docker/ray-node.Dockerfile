# A node of the Ray cluster (head or worker), and the meta-worker. CPU build:
#   docker build --file docker/ray-node.Dockerfile --tag gtn-nas/ray-node:cpu .
# CUDA build (the driver's libraries come from the NVIDIA container runtime):
#   docker build --file docker/ray-node.Dockerfile --tag gtn-nas/ray-node:cu130 --build-arg TORCH_BUILD=cu130 .
# For docker/ray-cluster.yaml build both with EXTRA_PACKAGES='boto3 s3fs': the autoscaler and the artifacts are on AWS.
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim AS build
# The build's label is part of the version, so no index can put a CUDA wheel in the place of a CPU one.
ARG TORCH_VERSION=2.13.0
ARG TORCH_BUILD=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl
# The Ray version of the whole cluster.
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
# The package of this folder has no version to pin.
# hadolint ignore=DL3013
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install ".[onnx]" ${EXTRA_PACKAGES}

FROM python:${PYTHON_VERSION}-slim
# `ray up` copies files into the container by rsync, and the head starts Ray on other machines over ssh.
# Any versions of the release will do: their interfaces have not changed in years.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libjemalloc2 openssh-client rsync \
    && rm -rf /var/lib/apt/lists/*
# KubeRay starts Ray through a login shell, which forgets the image's PATH.
RUN useradd --uid 10001 --create-home gtn-nas \
    && install --directory --owner=gtn-nas --group=gtn-nas /var/lib/gtn-nas \
    && echo 'export PATH=/opt/venv/bin:$PATH' > /etc/profile.d/gtn-nas.sh
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    GTN_NAS_DATA_DIR=/var/lib/gtn-nas
USER 10001:10001
WORKDIR /home/gtn-nas
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:52365/api/local_raylet_healthz', timeout=8)"]
CMD ["ray", "start", "--address=ray-head:6379", "--block"]
