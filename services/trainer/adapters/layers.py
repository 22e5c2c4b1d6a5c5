"""Decoder layers that a pruned engine is left with."""


def kept(count: int, dropped: int) -> list[int]:
    """The layers of ``count`` that stay. Deep ones change the least, the last one shapes the
    answer (Gromov et al. 2024, "The unreasonable ineffectiveness of the deeper layers").

    Raises:
        ValueError: there are not so many to leave out.
    """
    if dropped > count - 2:
        raise ValueError(f"{dropped} of {count} layers cannot be left out")
    return [*range(count - 1 - dropped), count - 1]


def in_place(name: str, layers: list[int]) -> str | None:
    """A tensor's name where only ``layers`` are; None where it is of another one."""
    if not name.startswith("model.layers."):
        return name
    model, stem, layer, part = name.split(".", 3)
    if int(layer) not in layers:
        return None
    return f"{model}.{stem}.{layers.index(int(layer))}.{part}"
