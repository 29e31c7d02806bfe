# The image of Aerolite: `docker build --tag aerolite .`
# The classic builder and BuildKit both build it, so there is no `RUN --mount` and no heredoc.

# checkov:skip=CKV_DOCKER_7:the tag is in this argument, which checkov does not resolve
ARG PYTHON_IMAGE=python:3.13-slim


# ---- dependencies: what the lock names, in a virtual environment of its own ----------------------
FROM ${PYTHON_IMAGE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# Only the lock is copied here, so this layer is built anew when a dependency changes and not before.
COPY requirements.lock ./
# A package without a wheel would need a compiler: fail here instead of carrying one.
RUN pip wheel --require-hashes --only-binary :all: --no-deps --wheel-dir wheels \
        --requirement requirements.lock \
    && python -m venv --without-pip /opt/aerolite \
    && pip --python /opt/aerolite/bin/python install --no-index --no-deps wheels/*.whl \
    && find /opt/aerolite -type d -name tests -prune -exec rm -r {} +


# ---- application: the service's own wheel, installed under /application --------------------------
FROM dependencies AS application
COPY requirements-build.lock ./
RUN pip install --require-hashes --only-binary :all: --requirement requirements-build.lock
COPY setup.cfg pyproject.toml README.md LICENSE containers.py ./
COPY service service
# --root: the files of this wheel alone, at the paths they will have, for a small layer of their own.
RUN pip wheel --no-build-isolation --no-index --no-deps --wheel-dir own . \
    && pip --python /opt/aerolite/bin/python install --no-index --no-deps \
        --root /application --no-warn-script-location own/*.whl


# ---- page: the web page (client/) will be built here, FROM an image with Node by build argument; --
# ---- the last stage then copies its files to where the service finds them ------------------------


# ---- the image -----------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE}
# Numeric, so that Kubernetes can check runAsNonRoot; named too, for libraries that ask who they are.
RUN groupadd --gid 65532 aerolite \
    && useradd --uid 65532 --gid 65532 --no-log-init --no-create-home \
        --home-dir /var/lib/aerolite --shell /usr/sbin/nologin aerolite \
    && install --directory --owner 65532 --group 65532 --mode 0750 /var/lib/aerolite
COPY --from=dependencies /opt/aerolite /opt/aerolite
COPY --from=application /application /

ENV PATH=/opt/aerolite/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    STORAGE_URL=sqlite:////var/lib/aerolite/aerolite.db \
    # Nobody knows where this port gets published, so nothing is open unless the operator says so.
    AUTH_MODE=keys

USER 65532:65532
# The root may be read-only: the service writes here and to /tmp, nowhere else.
WORKDIR /var/lib/aerolite
VOLUME ["/var/lib/aerolite"]
EXPOSE 8080
# SIGTERM drains: the container wants a stop timeout of 35 seconds (docker stop --time 35).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "service", "healthcheck"]
ENTRYPOINT ["aerolite"]
CMD ["serve"]

# Last, because they differ in every build.
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="Aerolite" \
      org.opencontainers.image.description="Puts a dataset behind an HTTP API that never breaks its clients" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
