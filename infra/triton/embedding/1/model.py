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
            vectors, counts_in, counts_cut = self._embed(texts)
        except Exception as error:
            pb_utils.Logger.log_error(f"embedding failed: {error!r}")
            failed = pb_utils.TritonError("the embedding failed", pb_utils.TritonError.INTERNAL)
            return [pb_utils.InferenceResponse(error=failed) for _ in requests]
        start = 0
        for count in counts:
            part = slice(start, start + count)
            tensors = [
                pb_utils.Tensor("embedding", vectors[part]),
                pb_utils.Tensor("num_input_tokens", counts_in[part]),
                pb_utils.Tensor("num_cut_tokens", counts_cut[part]),
            ]
            responses.append(pb_utils.InferenceResponse(tensors))
            start += count
        return responses

    def _embed(
        self, texts: list[str]
    ) -> tuple[NDArray[numpy.float32], NDArray[numpy.int32], NDArray[numpy.int32]]:
        """``(texts, 384)`` float32, each of length 1; ``(texts, 1)`` int32 tokens that were
        read, and tokens beyond the model's bound that were not."""
        found, read, cut = [], [], []
        for start in range(0, len(texts), BATCH):
            encoded = self._tokenizer.encode_batch(texts[start : start + BATCH])
            ids = numpy.array([one.ids for one in encoded], dtype=numpy.int64)
            mask = numpy.array([one.attention_mask for one in encoded], dtype=numpy.int64)
            found.append(self._model([ids, mask])[0].copy())
            read += [sum(one.attention_mask) for one in encoded]
            cut += [sum(sum(rest.attention_mask) for rest in one.overflowing) for one in encoded]
        counts = numpy.array([read, cut], dtype=numpy.int32)[..., None]
        return numpy.concatenate(found), counts[0], counts[1]
