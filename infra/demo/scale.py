"""How large the story is: as shown to people, or as fast as a test wants it."""

from dataclasses import dataclass, field

from protos.common.v1.common_pb2 import Decoding
from protos.preprocessing.v1.preprocessing_events_pb2 import DatasetQuery
from protos.registry.v1.application_pb2 import (
    Application,
    DriftPolicy,
    Gate,
    RolloutPolicy,
    Stage,
)
from protos.training.v1.training_events_pb2 import Recipe


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers of rows and requests; seconds are bounds, not waits."""

    upload: int = 360
    """Bank pairs uploaded at the beginning; about a quarter is held out."""
    train_rows: int = 200
    held_out_rows: int = 80
    generated_rows: int = 10
    reference: int = 240
    quiet: int = 60
    """Requests after the reference during which no alarm may ring."""
    new_rows: int = 215
    bad_rows: int = 64
    """Of a bad collection, half of them of each domain."""
    stages: tuple[tuple[float, int], ...] = ((0.05, 10), (0.25, 30), (0.5, 0))
    shadow_requests: int = 10
    margin: float = 0.05
    max_scored: int = 900
    most_requests: int = 2000
    """Of one rollout; more means that it does not end."""
    worse_margin: float = 0.08
    least_gain: float = 0.10
    recipe: Recipe = field(default_factory=Recipe)

    def application(self, name: str) -> Application:
        """What `perennial apply` would read from a file."""
        stages = [Stage(share=share, requests=requests) for share, requests in self.stages]
        return Application(
            name=name,
            decoding=Decoding(max_tokens=40),
            dataset=DatasetQuery(
                segment_label="segment",
                max_train_rows_per_segment=self.train_rows,
                max_held_out_rows_per_segment=self.held_out_rows,
            ),
            recipe=self.recipe,
            gate=Gate(
                worse_margin=self.worse_margin,
                least_gain=self.least_gain,
                generated_rows=self.generated_rows,
            ),
            rollout=RolloutPolicy(
                shadow_requests=self.shadow_requests,
                shadow_share=0.5,
                stages=stages,
                margin=self.margin,
                alpha=0.05,
                max_scored=self.max_scored,
            ),
            drift=DriftPolicy(
                reference_events=self.reference,
                average_run_length=100_000,
                new_rows=self.new_rows,
                campaign_budget=10,
            ),
        )


FULL = Scale()
QUICK = Scale(
    upload=160,
    train_rows=80,
    held_out_rows=32,
    generated_rows=6,
    reference=150,
    quiet=40,
    new_rows=130,
    bad_rows=40,
    stages=((0.25, 10), (0.5, 0)),
    shadow_requests=6,
    margin=0.15,
    worse_margin=0.15,
    least_gain=0.10,
    recipe=Recipe(checkpoint_steps=3),
)
