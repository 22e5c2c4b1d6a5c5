"""A process that runs the join until SIGTERM: ``joiner BROKERS STATE_DIR``; for kill tests."""

import asyncio
import signal
import sys
from datetime import timedelta
from pathlib import Path

from libs.kafka.confluent import KafkaSink
from libs.runtime.clock import SystemClock
from libs.runtime.config import KafkaSettings
from libs.streams.app import Streams
from services.feedback.domain import Limits
from services.feedback.streams import JoinStream


async def main(brokers: str, state: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = KafkaSettings(brokers=brokers)
    limits = Limits(timedelta(days=7), timedelta(hours=1), 20_000, 10**8)
    async with KafkaSink(settings) as sink:
        join = JoinStream(sink, limits, SystemClock(), sweep_s=1.0)
        group = f"feedback-{state.name}"
        async with Streams(settings, group=group, state_dir=state, declare=join) as streams:
            await streams.serve(stop)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
