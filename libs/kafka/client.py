"""What every client is told of the broker and of who asks: one place for all of them."""

from typing import Any, Final

from libs.runtime.config import KafkaSettings

Config = dict[str, Any]
"""Names and values of librdkafka."""

COMMON: Final = {
    # A broker that restarts denies knowing its topics for a moment; the default asks it
    # again after five minutes.
    "topic.metadata.refresh.interval.ms": 5000,
    "reconnect.backoff.max.ms": 2000,
    "log_level": 2,  # an absent broker is said by us, not twenty times a second
}


def client(settings: KafkaSettings) -> Config:
    """Of a producer or an administrator."""
    config: Config = {
        "bootstrap.servers": settings.brokers,
        "security.protocol": settings.security_protocol,
        **COMMON,
    }
    if settings.ssl_ca_file is not None:
        config["ssl.ca.location"] = str(settings.ssl_ca_file)
    if settings.sasl_password_file is not None:
        config["sasl.mechanism"] = settings.sasl_mechanism
        config["sasl.username"] = settings.sasl_username
        config["sasl.password"] = settings.sasl_password_file.read_text().strip()
    return config


def reader(settings: KafkaSettings, group: str) -> Config:
    """Of a consumer, whether or not it joins ``group``; it commits only what it is told."""
    return {
        **client(settings),
        "group.id": settings.group_prefix + group,
        "enable.auto.commit": False,
    }
