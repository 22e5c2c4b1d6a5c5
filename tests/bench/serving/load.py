"""A closed loop of clients over HTTP. Reads its order as JSON, prints its figures as JSON.

``{"host", "port", "path", "headers", "body", "clients", "seconds"}``
"""

import asyncio
import json
import sys
import time
from typing import Any

from tests.bench.serving.figures import percentile
from tests.bench.serving.protocol import Client, request


async def run(order: dict[str, Any]) -> dict[str, Any]:
    """``{"rate", "p50_s", "p99_s", "errors", "n", "error"}`` of one go."""
    message = request(
        f"{order['host']}:{order['port']}", order["path"], order["headers"], order["body"].encode()
    )
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    errors: list[str] = []
    begun = time.perf_counter()
    end = begun + order["seconds"]

    def connection() -> Client:
        sent = [time.perf_counter()]

        def answered(head: bytes, body: bytes) -> bool:
            now = time.perf_counter()
            latencies.append(now - sent[0])
            sent[0] = now
            if head[9:12] != b"200":
                errors.append(f"{head[:40]!r} {body[:300]!r}")
            return bool(now < end)

        return Client(message, answered)

    made = [
        await loop.create_connection(connection, order["host"], order["port"])
        for _ in range(order["clients"])
    ]
    lost = [client.lost for _, client in made]
    await asyncio.wait(lost, timeout=order["seconds"] + 30)
    seconds = time.perf_counter() - begun
    answered_all = len(latencies) - len(errors)
    return {
        "rate": answered_all / seconds,
        "p50_s": percentile(latencies, 0.5),
        "p99_s": percentile(latencies, 0.99),
        "errors": len(errors),
        "n": len(latencies),
        "error": errors[0] if errors else "",
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.load(sys.stdin)))))
