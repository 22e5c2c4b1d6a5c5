"""What an engine is built of and measured on, brought into a work directory and checked."""

from dataclasses import dataclass
from pathlib import Path

from libs.artifacts.store import ArtifactStore, sha256_of_file
from libs.faults import Poison
from protos.common.v1.common_pb2 import Artifact
from protos.training.v1.training_events_pb2 import EngineRequested
from services.trainer.domain.engine import BAD_REQUEST
from services.trainer.ports import Guard, Source


@dataclass(frozen=True, slots=True)
class Materials:
    """Blocks; all of it raises Retryable while the store is away."""

    store: ArtifactStore
    guard: Guard
    base_model: Path
    request: EngineRequested
    work: Path

    def source(self) -> Source:
        """The model's files.

        Raises:
            Poison: ``bad_request``: the model has no weights, and is not the base model here.
        """
        model, base = self.request.model, self.base_model
        if not model.merged.uri:
            weights = base / "model.safetensors"
            if sha256_of_file(weights) != model.digest:
                raise Poison("the model has no merged weights", code=BAD_REQUEST)
            return Source(weights, base, build_id=self.request.build_id)
        if model.merged.sha256 != model.digest:
            raise Poison("the model's digest is not that of its weights", code=BAD_REQUEST)
        weights = self._weights(model.merged, "merged.safetensors")
        if not model.adapter.uri:
            return Source(weights, base, build_id=self.request.build_id)
        adapter = self._weights(model.adapter, "adapter.safetensors")
        return Source(weights, base, adapter, self.request.build_id)

    def held_out(self) -> Path:
        """
        Raises:
            Poison: ``bad_dataset``: the rows are not in the store.
        """
        rows = self.work / "held_out.parquet"
        try:
            self.store.get_file(self.request.held_out, rows)
        except Poison as error:
            raise Poison(f"{error} ({error.code})", code="bad_dataset") from error
        return rows

    def _weights(self, artifact: Artifact, name: str) -> Path:
        path = self.work / name
        if not path.exists():
            self.store.get_file(artifact, path)
            self.guard(path)
        return path
