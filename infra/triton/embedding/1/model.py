"""Sentence embeddings behind Triton's python backend, on one thread of OpenVINO.

``directory`` holds ``model.xml``, ``model.bin`` and ``tokenizer.json``, made by
``python -m infra.triton.embedding_model``. Nothing here imports torch.
"""

import json
from pathlib import Path
from typing import Any

import numpy
import openvino
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray
from tokenizers import Tokenizer

BATCH = 32
"""Texts of one inference; requests that Triton joined may hold more."""


class TritonPythonModel:
    """The python backend's interface."""

    def initialize(self, args: dict[str, str]) -> None:
        parameters = json.loads(args["model_config"])["parameters"]
        directory = Path(parameters["directory"]["string_value"])
        self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        settings = {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        core = openvino.Core()
        self._model = core.compile_model(str(directory / "model.xml"), "CPU", settings)

    def execute(self, requests: list[Any]) -> list[Any]:
        counts: list[int] = []
        texts: list[str] = []
        responses: list[Any] = []
        for request in requests:
            values = pb_utils.get_input_tensor_by_name(request, "text").as_numpy().reshape(-1)
            counts.append(len(values))
            texts += [value.decode(errors="replace") for value in values.tolist()]
        try:
            vectors = self._embed(texts)
        except Exception as error:
            pb_utils.Logger.log_error(f"embedding failed: {error!r}")
            failed = pb_utils.TritonError("the embedding failed", pb_utils.TritonError.INTERNAL)
            return [pb_utils.InferenceResponse(error=failed) for _ in requests]
        start = 0
        for count in counts:
            tensor = pb_utils.Tensor("embedding", vectors[start : start + count])
            responses.append(pb_utils.InferenceResponse([tensor]))
            start += count
        return responses

    def _embed(self, texts: list[str]) -> NDArray[numpy.float32]:
        """``(texts, 384)`` float32, each of length 1."""
        found = []
        for start in range(0, len(texts), BATCH):
            encoded = self._tokenizer.encode_batch(texts[start : start + BATCH])
            ids = numpy.array([one.ids for one in encoded], dtype=numpy.int64)
            mask = numpy.array([one.attention_mask for one in encoded], dtype=numpy.int64)
            found.append(self._model([ids, mask])[0].copy())
        return numpy.concatenate(found)
