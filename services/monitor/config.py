"""The monitor's settings. What is specific to an application is in its declaration."""

from libs.runtime.config import DoorSettings, KafkaSettings, OperatorSettings, SqlSettings


class Settings(OperatorSettings):
    kafka: KafkaSettings
    sql: SqlSettings
    rpc: DoorSettings
