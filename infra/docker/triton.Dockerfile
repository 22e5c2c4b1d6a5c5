# syntax=docker/dockerfile:1
# Triton with the python backend on a CPU: the same wheel and the same models as `make up`.
# On a GPU host set TRITON_IMAGE in docker-compose.yml's environment to a TensorRT-LLM image.
ARG PYTHON_IMAGE=python:3.11-bookworm
FROM ${PYTHON_IMAGE}
WORKDIR /perennial
COPY infra/locks infra/locks
RUN python -m venv /opt/uv \
 && /opt/uv/bin/pip install --no-cache-dir --require-hashes -r infra/locks/uv.txt \
 && /opt/uv/bin/uv venv --python python3.11 .venv-model \
 && /opt/uv/bin/uv pip sync --no-cache --python .venv-model/bin/python --require-hashes \
      infra/locks/model.txt infra/locks/payload.txt
COPY infra infra
RUN .venv-model/bin/python -m infra.triton.embedding_model .build/embedding
RUN useradd --system --uid 10001 --create-home perennial \
 && mkdir -p /var/lib/triton/models && chown -R perennial /var/lib/triton
ENV PATH=/perennial/.venv-model/bin:$PATH LD_LIBRARY_PATH=/usr/local/lib MALLOC_ARENA_MAX=2
USER perennial
VOLUME /var/lib/triton
STOPSIGNAL SIGTERM
ENTRYPOINT ["/perennial/infra/docker/triton.sh"]
