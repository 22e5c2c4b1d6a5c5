"""All parts of a stack with their ports, addresses and order."""

from dataclasses import replace

from infra.local.broker import broker
from infra.local.home import Home, credentials
from infra.local.objectstore import object_store
from infra.local.ports import Ports
from infra.local.process import Process
from infra.local.services import Surroundings, services
from infra.local.topics import topics
from infra.local.triton import is_installed, triton


def plan(home: Home, ports: Ports) -> list[Process]:
    """Every part that this checkout can run, whether wanted or not. Allots their ports."""
    home.make()
    keys = credentials(home)
    store = object_store(home, ports, keys)
    kafka = broker(home, ports, keys, store.addresses["s3"])
    parts = [store, kafka, *topics(kafka)]
    surroundings = Surroundings(
        home=home,
        credentials=keys,
        brokers=kafka.addresses["kafka"],
        idempotence="idempotence" not in kafka.note,
        s3=store.addresses["s3"],
    )
    if is_installed():
        parts.append(triton(home, ports, keys))
        surroundings.triton = parts[-1].addresses["triton"]
    parts += services(surroundings, ports)
    ports.save()
    return [
        replace(part, note="; ".join(filter(None, [part.note, *ports.moved.get(part.name, ())])))
        for part in parts
    ]
