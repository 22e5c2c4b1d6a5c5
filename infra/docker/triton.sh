#!/usr/bin/env bash
# Lays out the backend and the embedding model, then becomes the server. In an image of Triton's own
# (with TensorRT-LLM) both are as the image has them: its backends, and no embedding model.
set -euo pipefail
home=/var/lib/triton
mkdir -p "$home/models"
models=()
if [ -x /opt/tritonserver/bin/tritonserver ]; then
  server=/opt/tritonserver
  backends=$server/backends
else
  server=$(echo /perennial/.venv-model/lib/python3.*/site-packages/pytriton/tritonserver)
  backends=$home/backends
  mkdir -p "$backends/python"
  ln -sf "$server"/backends/python/* "$server"/python_backend_stubs/3.11/triton_python_backend_stub \
    "$backends/python/"
  cp -r /perennial/infra/triton/embedding "$home/models/"
  sed -i 's#${EMBEDDING_DIR}#/perennial/.build/embedding#' "$home/models/embedding/config.pbtxt"
  models=(--load-model=embedding)
fi
exec "$server/bin/tritonserver" \
  --model-repository="$home/models" --backend-directory="$backends" \
  --cache-directory="$server/caches" --allow-http=false \
  --grpc-address=127.0.0.1 --grpc-port=8001 --metrics-address=127.0.0.1 --metrics-port=8002 \
  --grpc-restricted-protocol="model-repository:perennial-repository=$TRITON_REPOSITORY_TOKEN" \
  --model-control-mode=explicit "${models[@]}" --disable-auto-complete-config
