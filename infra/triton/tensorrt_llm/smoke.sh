#!/usr/bin/env bash
# The one test that needs a GPU: inside Triton's image with TensorRT-LLM. MODEL_DIR SM
set -euo pipefail
model=$1 hardware=$2
repository=$(mktemp -d)
python3 -m pip install --quiet 'tritonclient[grpc]' pyyaml
python3 - "$model" "$hardware" "$repository" <<'PYTHON'
import os, sys
from pathlib import Path
from services.trainer.adapters.tensorrt.images import image
from services.trainer.adapters.tensorrt.plan import Plan
from services.trainer.adapters.tensorrt.repository import complete, engine_key, write_llmapi
model, hardware, repository = sys.argv[1:]
plan = Plan(image(os.environ["NVIDIA_TRITON_SERVER_VERSION"]), hardware, "bf16")
out = Path(repository) / "llm-smoke"
write_llmapi(plan, Path("infra/triton"), model, engine_key(plan, "", {}), out)
complete(out, "llm-smoke", Path(model) / "tokenizer.json", None)
PYTHON
/opt/tritonserver/bin/tritonserver --model-repository="$repository" --disable-auto-complete-config \
  --http-address=127.0.0.1 --grpc-address=127.0.0.1 --metrics-address=127.0.0.1 \
  --backend-config=python,shm-region-prefix-name=smoke_ > "$repository/log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
python3 infra/triton/tensorrt_llm/smoke.py 127.0.0.1:8001 || { tail -50 "$repository/log"; echo FAIL; exit 1; }
echo PASS
