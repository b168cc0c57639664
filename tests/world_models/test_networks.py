"""The networks: the published sizes, the initial spread, and the exact change of latent coordinates."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from equiworld.envs import UsageError
from equiworld.world_models.networks import ARCHITECTURES, build_networks, change_latent_basis

SHAPE = (64, 64, 1)


def build(name: str, latents: int, shape: tuple[int, int, int] = SHAPE, seed: int = 0):
    return build_networks(name, shape, 2 * latents, latents, torch.Generator().manual_seed(seed))


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "latents", "channels", "encoder", "decoder"),
    [
        ("forward", 4, 1, 248_968, 182_625),
        # Convolutions 32-64-64-32 in place of 32-32-32-32; worked out by hand, layer by layer.
        ("forward-wide", 4, 1, 330_952, 264_609),
        ("forward-wider", 4, 1, 330_952, 362_977),
    ],
)
def test_sizes_of_the_forward_networks(name: str, latents: int, channels: int, encoder: int, decoder: int) -> None:
    networks = build(name, latents, (64, 64, channels))
    assert [count(network) for network in networks] == [encoder, decoder]


@pytest.mark.parametrize(
    ("name", "channels", "total"), [("burgess", 1, 502_005), ("higgins", 1, 763_285), ("higgins", 3, 765_335)]
)
def test_sizes_of_the_other_networks(name: str, channels: int, total: int) -> None:
    assert sum(count(network) for network in build(name, 10, (64, 64, channels))) == total


def test_layers_of_the_mlp() -> None:
    encoder, decoder = build("mlp", 10)

    def layers(network: nn.Module) -> list[tuple[int, int]]:
        return [(each.in_features, each.out_features) for each in network.modules() if isinstance(each, nn.Linear)]

    assert layers(encoder) == [(4096, 1200), (1200, 1200), (1200, 20)]
    assert layers(decoder) == [(10, 1200), (1200, 1200), (1200, 1200), (1200, 4096)]
    assert sum(isinstance(each, nn.ReLU) for each in encoder.modules()) == 2
    assert sum(isinstance(each, nn.Tanh) for each in decoder.modules()) == 3


@pytest.mark.parametrize("name", ARCHITECTURES.names())
@pytest.mark.parametrize("shape", [(64, 64, 1), (32, 48, 3)])
def test_shapes_that_go_in_and_come_out(name: str, shape: tuple[int, int, int]) -> None:
    height, width, channels = shape
    encoder, decoder = build(name, 6, shape)
    assert encoder(torch.rand(3, channels, height, width)).shape == (3, 12)
    assert decoder(torch.randn(3, 6)).shape == (3, channels, height, width)


@pytest.mark.parametrize("name", ARCHITECTURES.names())
def test_the_same_generator_gives_the_same_networks_and_the_global_one_is_left_alone(name: str) -> None:
    torch.manual_seed(1)
    first = build(name, 4, (16, 16, 1), seed=5)
    torch.manual_seed(2)
    second = build(name, 4, (16, 16, 1), seed=5)
    other = build(name, 4, (16, 16, 1), seed=6)
    for one, two, three in zip(first, second, other, strict=True):
        for key, value in one.state_dict().items():
            assert torch.equal(value, two.state_dict()[key])
        assert any(not torch.equal(value, three.state_dict()[key]) for key, value in one.state_dict().items())


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES.names() if name.startswith("forward")])
def test_selu_networks_keep_unit_variance_from_layer_to_layer(name: str) -> None:
    """The fixed point of SELU (Klambauer et al. 2017); at the borders, padding takes a share of it."""
    encoder, decoder = build(name, 8)
    generator = torch.Generator().manual_seed(1)
    logits = decoder(torch.randn(200, 8, generator=generator))
    assert 0.5 < float(logits[:, :, 8:-8, 8:-8].std()) < 1.5
    features = encoder(torch.randn(200, 1, 64, 64, generator=generator))
    assert 0.5 < float(features.std()) < 1.5


def test_initial_weights_have_the_variance_that_their_fan_in_asks_for() -> None:
    encoder, decoder = build("burgess", 10)
    for layer in [*encoder.modules(), *decoder.modules()]:
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            inputs = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels * 16
            inputs = inputs / 4 if isinstance(layer, nn.ConvTranspose2d) else inputs  # a stride of 2 both ways
            number = layer.weight.numel()
            # The standard deviation of n normals has a relative standard error of 1 / sqrt(2 n).
            assert float(layer.weight.std()) == pytest.approx((2 / inputs) ** 0.5, rel=5 / (2 * number) ** 0.5)
            assert float(layer.bias.abs().max()) == 0.0


@pytest.mark.parametrize("name", ["forward", "burgess", "higgins"])
@pytest.mark.parametrize("shape", [(20, 64, 1), (64, 40, 1), (8, 8, 1)])
def test_a_picture_that_cannot_be_halved_is_refused(name: str, shape: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match=rf"{name} architecture takes .* multiples of 16: not {shape[0]}x{shape[1]}$"):
        build(name, 4, shape)


def test_an_unknown_architecture_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"unknown architecture 'burges' .*did you mean 'burgess'.*higgins, mlp"):
        build("burges", 4)


@pytest.mark.parametrize("name", ["forward", "higgins", "mlp"])
@torch.no_grad()
def test_a_change_of_latent_coordinates_is_exact(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    shape = (16, 16, 1)
    source, target = build(name, 8, shape), build(name, 4, shape, seed=9)
    for network in source:  # biases start at zero, where a mistake in them would not show
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    to_new, to_old = (torch.randn(*size, generator=generator) for size in ((4, 8), (8, 4)))
    centre = torch.randn(8, generator=generator)
    change_latent_basis(source, target, to_new, to_old, centre)
    images, codes = torch.rand(5, 1, 16, 16, generator=generator), torch.randn(5, 4, generator=generator)
    means = source[0](images)[:, :8]
    features = target[0](images)
    torch.testing.assert_close(features[:, :4], (means - centre) @ to_new.T, atol=1e-5, rtol=1e-4)
    assert torch.equal(features[:, 4:], torch.full((5, 4), -3.0))
    torch.testing.assert_close(target[1](codes), source[1](codes @ to_old.T + centre), atol=1e-4, rtol=1e-4)
