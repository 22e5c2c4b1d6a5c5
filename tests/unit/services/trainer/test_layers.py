import pytest

from services.trainer.adapters.layers import in_place, kept


def test_the_layers_before_the_last_one_are_left_out() -> None:
    assert kept(6, 0) == [0, 1, 2, 3, 4, 5]
    assert kept(6, 2) == [0, 1, 2, 5]


def test_the_first_and_the_last_layer_always_stay() -> None:
    with pytest.raises(ValueError, match="5 of 6 layers"):
        kept(6, 5)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("model.embed_tokens.weight", "model.embed_tokens.weight"),
        ("model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"),
        ("model.layers.3.mlp.up_proj.weight", None),
        ("model.layers.5.self_attn.q_proj.weight", "model.layers.3.self_attn.q_proj.weight"),
    ],
)
def test_what_stays_moves_up(name: str, place: str | None) -> None:
    assert in_place(name, kept(6, 2)) == place
