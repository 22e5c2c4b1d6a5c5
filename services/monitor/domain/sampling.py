"""An answer as its release's watch is given it."""

import math

from services.monitor.domain.generation import Generation
from services.monitor.domain.sample import Sample
from services.monitor.domain.strata import season
from services.monitor.domain.watch import Watch


def sampled(generation: Generation, under: Watch) -> Sample:
    """Only what is watched ``under`` its terms."""
    timed, labels = under.timed and not generation.cached, generation.labels
    return Sample(
        generation_id=generation.generation_id,
        episode=generation.episode or generation.generation_id,
        prompt=generation.prompt,
        vector=generation.vector,
        logprob=generation.logprob,
        language=generation.language,
        refused=generation.refused,
        guard_verdict=generation.guard_verdict,
        finish_reason=generation.finish_reason,
        served_model=generation.response_model,
        latency_s=generation.latency_s if timed else math.nan,
        retrieval_score=generation.retrieval_score,
        cost=generation.cost,
        labels={name: labels[name] for name in under.labels if name in labels},
        stratum=season(generation.served_at) if under.seasonal else "",
        at=generation.served_at,
    )
