"""From a release back to its engine, model, dataset and campaign."""

from libs.faults import NOT_FOUND, Poison
from protos.common.v1.common_pb2 import ModelVersion
from protos.registry.v1.registry_events_pb2 import Release
from protos.registry.v1.registry_service_pb2 import Lineage
from services.registry.ports import Catalogue
from services.registry.wire.messages import dataset_entry
from services.registry.wire.values import message


def trace(catalogue: Catalogue, release_digest: str) -> Lineage:
    """
    Raises:
        Poison: ``not_found``.
    """
    kept = catalogue.release(release_digest)
    if kept is None:
        raise Poison(f"no release {release_digest[:80]!r}", code=NOT_FOUND)
    application = kept.release.application
    model = catalogue.model(application, kept.release.model_digest)
    dataset = catalogue.dataset(application, kept.dataset_digest)
    return Lineage(
        release=message(Release, kept.release),
        model=message(ModelVersion, model) if model else None,
        dataset=dataset_entry(dataset) if dataset else None,
        campaign_id=kept.campaign_id,
    )
