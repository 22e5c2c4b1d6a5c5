#!/usr/bin/env bash
# Lays out the backend and the embedding model, then becomes the server.
set -euo pipefail
home=/var/lib/triton
server=$(echo /perennial/.venv-model/lib/python3.*/site-packages/pytriton/tritonserver)
mkdir -p "$home"/{models,backends/python}
ln -sf "$server"/backends/python/* "$server"/python_backend_stubs/3.11/triton_python_backend_stub \
  "$home/backends/python/"
cp -r /perennial/infra/triton/embedding "$home/models/"
sed -i 's#${EMBEDDING_DIR}#/perennial/.build/embedding#' "$home/models/embedding/config.pbtxt"
exec "$server/bin/tritonserver" \
  --model-repository="$home/models" --backend-directory="$home/backends" \
  --cache-directory="$server/caches" --allow-http=false \
  --grpc-address=127.0.0.1 --grpc-port=8001 --metrics-address=127.0.0.1 --metrics-port=8002 \
  --grpc-restricted-protocol="model-repository:perennial-repository=$TRITON_REPOSITORY_TOKEN" \
  --model-control-mode=explicit --load-model=embedding --disable-auto-complete-config
