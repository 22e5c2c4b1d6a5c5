"""The registry's parts."""

from typing import Any, Final

from libs.events import topics
from libs.kafka.confluent import KafkaSink
from libs.kafka.consumer import Route
from libs.kafka.part import Consumer
from libs.rpc.server import RpcServer
from libs.runtime.clock import SystemClock
from libs.runtime.service import Service
from libs.sql.engine import connect
from libs.sql.part import Database
from libs.sql.relay import OutboxRelay
from services.registry.adapters.catalogue import SqlCatalogue
from services.registry.adapters.log import KafkaLog
from services.registry.adapters.store import SqlStore
from services.registry.adapters.tables import OUTBOX
from services.registry.config import Settings
from services.registry.handlers import inputs
from services.registry.handlers.audit import ReplayCampaign
from services.registry.handlers.conduct import Conduct
from services.registry.handlers.desk import Desk
from services.registry.handlers.library import Library
from services.registry.rpc import SERVICE, RegistryServicer

GROUP: Final = "registry"


def build() -> Service:
    settings = Settings()  # type: ignore[call-arg]  # read from the environment
    engine, clock = connect(settings.sql.url), SystemClock()
    store, catalogue = SqlStore(engine, clock), SqlCatalogue(engine)
    servicer = RegistryServicer(
        Desk(store, clock),
        Library(store, catalogue, clock),
        catalogue,
        ReplayCampaign(catalogue, KafkaLog(settings.kafka)),
    )
    relayed, buried = KafkaSink(settings.kafka), KafkaSink(settings.kafka)
    return Service(
        name="registry",
        settings=settings,
        parts=[
            Database(engine, "services.registry"),
            relayed,
            buried,
            OutboxRelay(engine, OUTBOX, relayed),
            RpcServer(
                settings.rpc,
                servicer.register,
                [SERVICE],
                operator_token=settings.operator_token.get_secret_value(),
            ),
            Consumer.of(
                settings.kafka, group=GROUP, routes=routes(Conduct(store, clock)), sink=buried
            ),
        ],
    )


def routes(conduct: Conduct) -> list[Route[Any]]:
    """Every consumed topic with its handler."""
    return [
        Route(topics.CAMPAIGN_REQUESTED, inputs.OnCampaignRequested(conduct)),
        Route(topics.RETRAINING_TRIGGERED, inputs.OnRetrainingTriggered(conduct)),
        Route(topics.DATASET_VERSIONED, inputs.OnDatasetVersioned(conduct)),
        Route(topics.DATASET_REFUSED, inputs.OnDatasetRefused(conduct)),
        Route(topics.TRAINING_STARTED, inputs.OnTrainingStarted(conduct)),
        Route(topics.TRAINING_COMPLETED, inputs.OnTrainingCompleted(conduct)),
        Route(topics.TRAINING_FAILED, inputs.OnTrainingFailed(conduct)),
        Route(topics.EVALUATION_COMPLETED, inputs.OnEvaluationCompleted(conduct)),
        Route(topics.EVALUATION_FAILED, inputs.OnEvaluationFailed(conduct)),
        Route(topics.ENGINE_BUILT, inputs.OnEngineBuilt(conduct)),
        Route(topics.ENGINE_FAILED, inputs.OnEngineFailed(conduct)),
        Route(topics.ENGINE_STALE, inputs.OnEngineStale(conduct)),
        Route(topics.ENGINE_LOADED, inputs.OnEngineLoaded(conduct)),
        Route(topics.CANARY_EVIDENCE, inputs.OnCanaryEvidence(conduct)),
        Route(topics.OPERATOR_ACTED, inputs.OnOperatorActed(conduct)),
    ]
