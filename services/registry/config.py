"""The registry's settings."""

from libs.runtime.config import DoorSettings, KafkaSettings, OperatorSettings, SqlSettings


class Settings(OperatorSettings):
    kafka: KafkaSettings
    sql: SqlSettings
    rpc: DoorSettings
