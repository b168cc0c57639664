"""Encoders and decoders, by name: images to features of a posterior, and latents to image logits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..envs.registry import UsageError
from .parts import NoOptions, Parts

ImageShape = tuple[int, int, int]  # height, width, channels


class Encoder(nn.Module):
    """Images ``[B, C, H, W]`` in [0, 1] to posterior parameters ``[B, outputs]``.

    Attributes:
        trunk: Everything up to the last layer.
        head: The last, linear layer. It has no activation, so a linear change of latent coordinates can be
            folded into it exactly.
    """

    def __init__(self, trunk: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.trunk(images))


class Decoder(nn.Module):
    """Latent features ``[B, inputs]`` to image logits ``[B, C, H, W]``.

    Attributes:
        stem: The first, linear layer.
        body: Everything after it.
    """

    def __init__(self, stem: nn.Linear, body: nn.Module) -> None:
        super().__init__()
        self.stem = stem
        self.body = body

    def forward(self, latents: Tensor) -> Tensor:
        return self.body(self.stem(latents))


@dataclass(frozen=True)
class Architecture:
    """A pair of networks: how to build each for an image shape and a number of latent features."""

    encoder: Callable[[ImageShape, int], Encoder]
    decoder: Callable[[ImageShape, int], Decoder]
    gain: str  # the nonlinearity that the initialisation assumes


ARCHITECTURES = Parts("architecture")
"""The names that ``--architecture`` takes; what builds a pair of networks takes its options."""


def architecture(name: str, summary: str, networks: Architecture) -> None:
    """Registers networks that have no options.

    Args:
        name: What ``--architecture`` takes.
        summary: One line: what they are, and whose.
        networks: How to build them.
    """
    ARCHITECTURES.part(name, NoOptions, summary)(lambda options: networks)


def build_networks(
    networks: str | Architecture,
    image_shape: ImageShape,
    outputs: int,
    inputs: int,
    generator: torch.Generator,
    channels: int | None = None,
) -> tuple[Encoder, Decoder]:
    """Builds and initialises a pair of networks.

    Args:
        networks: How to build them, or their name in ``ARCHITECTURES``.
        image_shape: Height, width, channels.
        outputs: Posterior parameters that the encoder emits for an image.
        inputs: Latent features that the decoder takes.
        generator: Source of the initial weights.
        channels: Channels that the decoder emits; None: as many as the images have.

    Raises:
        UsageError: Unknown name, or images of a size that the architecture cannot take.
    """
    if isinstance(networks, str):
        named = ARCHITECTURES[networks]
        networks = named.build(named.options())
        assert isinstance(networks, Architecture)
    height, width, depth = image_shape
    encoder = networks.encoder(image_shape, outputs)
    decoder = networks.decoder((height, width, depth if channels is None else channels), inputs)
    for network in (encoder, decoder):
        initialise(network, networks.gain, generator)
    return encoder, decoder


@torch.no_grad()
def initialise(network: nn.Module, gain: str, generator: torch.Generator) -> None:
    """Draws every weight from a normal of variance ``gain^2 / fan_in``, and sets every bias to zero.

    The fan-in of a transposed convolution is the number of inputs that meet in one output, so it is treated as the
    other layers are (LeCun et al. 1998 for SELU and Tanh, He et al. 2015 for ReLU).
    """
    scale = math.sqrt(2.0) if gain == "relu" else 1.0
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            fan_in = float(layer.in_features)
        elif isinstance(layer, nn.ConvTranspose2d):
            meeting = [kernel / stride for kernel, stride in zip(layer.kernel_size, layer.stride, strict=True)]
            fan_in = layer.in_channels * math.prod(meeting)
        elif isinstance(layer, nn.Conv2d):
            fan_in = layer.in_channels * math.prod(layer.kernel_size)
        else:
            continue
        # Drawn where the generator is, so that an accelerator starts from the same weights.
        drawn = torch.empty(layer.weight.shape, device=generator.device, dtype=layer.weight.dtype)
        layer.weight.copy_(nn.init.normal_(drawn, std=scale / math.sqrt(fan_in), generator=generator))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _halved(image_shape: ImageShape, times: int, name: str) -> tuple[int, int]:
    """Height and width after ``times`` convolutions of stride 2."""
    height, width, _ = image_shape
    unit = 2**times
    if height % unit or width % unit or min(height, width) < unit:
        raise UsageError(
            f"the {name} architecture takes images whose sides are multiples of {unit}: not {height}x{width}"
        )
    return height // unit, width // unit


def _down(channels: list[int], activation: type[nn.Module]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(channels):
        layers += [nn.Conv2d(before, after, 4, 2, 1), activation()]
    return layers


def _up(channels: list[int], activation: type[nn.Module]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(channels):
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1), activation()]
    return layers[:-1]  # logits carry no activation


def _convolutional(
    name: str, down: list[int], up: list[int], hidden: tuple[int, ...], activation: type[nn.Module]
) -> Architecture:
    """Strided convolutions, then linear layers of ``hidden`` widths; the decoder mirrors it.

    Args:
        name: For error messages.
        down: Channels after each of the encoder's convolutions.
        up: Channels before each of the decoder's transposed convolutions.
        hidden: Widths of the encoder's linear layers.
        activation: Between all layers.
    """

    def encoder(image_shape: ImageShape, outputs: int) -> Encoder:
        height, width = _halved(image_shape, len(down), name)
        layers = [*_down([image_shape[2], *down], activation), nn.Flatten()]
        size = down[-1] * height * width
        for width_after in hidden:
            layers += [nn.Linear(size, width_after), activation()]
            size = width_after
        return Encoder(nn.Sequential(*layers), nn.Linear(size, outputs))

    def decoder(image_shape: ImageShape, inputs: int) -> Decoder:
        height, width = _halved(image_shape, len(up), name)
        flat = up[0] * height * width
        widths = [*reversed(hidden), flat]
        layers: list[nn.Module] = [activation()]
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), activation()]
        layers += [nn.Unflatten(1, (up[0], height, width)), *_up([*up, image_shape[2]], activation)]
        return Decoder(nn.Linear(inputs, widths[0]), nn.Sequential(*layers))

    return Architecture(encoder, decoder, "relu" if activation is nn.ReLU else "selu")


def _forward(name: str, encoder_middle: tuple[int, int], decoder_middle: tuple[int, int]) -> Architecture:
    """The Forward-VAE networks (Caselles-Dupre et al. 2019), with SELU.

    The encoder has two hidden linear layers (512 -> 256 -> 256), the decoder one (256 -> 512).
    """
    wide = _convolutional(name, [32, *encoder_middle, 32], [32, *decoder_middle, 32], (256, 256), nn.SELU)
    narrow = _convolutional(name, [32, *encoder_middle, 32], [32, *decoder_middle, 32], (256,), nn.SELU)
    return Architecture(wide.encoder, narrow.decoder, "selu")


architecture(
    "forward", "four convolutions of 32, SELU (Caselles-Dupré et al. 2019)", _forward("forward", (32, 32), (32, 32))
)
architecture("forward-wide", "forward with 64 channels in the middle", _forward("forward-wide", (64, 64), (64, 64)))
architecture("forward-wider", "forward with up to 128 channels", _forward("forward-wider", (64, 64), (128, 64)))
# Burgess et al. 2018, "B".
architecture(
    "burgess",
    "four convolutions of 32, ReLU (Burgess et al. 2018)",
    _convolutional("burgess", [32] * 4, [32] * 4, (256, 256), nn.ReLU),
)


class _Leaky(nn.LeakyReLU):
    """LeakyReLU of slope 0.2."""

    def __init__(self) -> None:
        super().__init__(0.2)


# Cho et al. 2023: four convolutions that widen, and the linear layers to and from their 4 x 4 maps alone.
architecture(
    "gmvae",
    "four widening convolutions (Cho et al. 2023)",
    Architecture(
        _convolutional("gmvae", [32, 64, 128, 256], [256, 128, 64, 32], (), _Leaky).encoder,
        _convolutional("gmvae", [32, 64, 128, 256], [256, 128, 64, 32], (), nn.ReLU).decoder,
        "relu",
    ),
)


def _higgins_encoder(image_shape: ImageShape, outputs: int) -> Encoder:
    height, width = _halved(image_shape, 4, "higgins")
    layers = _down([image_shape[2], 32, 32, 64, 64], nn.ReLU)
    trunk = nn.Sequential(*layers, nn.Conv2d(64, 256, (height, width)), nn.ReLU(), nn.Flatten())
    return Encoder(trunk, nn.Linear(256, outputs))


def _higgins_decoder(image_shape: ImageShape, inputs: int) -> Decoder:
    height, width = _halved(image_shape, 4, "higgins")
    spread = nn.ConvTranspose2d(256, 64, (height, width))
    body = nn.Sequential(
        nn.Unflatten(1, (256, 1, 1)), nn.ReLU(), spread, nn.ReLU(), *_up([64, 64, 32, 32, image_shape[2]], nn.ReLU)
    )
    return Decoder(nn.Linear(inputs, 256), body)


# Higgins et al. 2017, "H".
architecture(
    "higgins",
    "four convolutions and one over what they leave (Higgins et al. 2017)",
    Architecture(_higgins_encoder, _higgins_decoder, "relu"),
)


def _mlp_encoder(image_shape: ImageShape, outputs: int) -> Encoder:
    pixels = math.prod(image_shape)
    trunk = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 1200), nn.ReLU(), nn.Linear(1200, 1200), nn.ReLU())
    return Encoder(trunk, nn.Linear(1200, outputs))


def _mlp_decoder(image_shape: ImageShape, inputs: int) -> Decoder:
    height, width, channels = image_shape
    body = nn.Sequential(
        nn.Tanh(),
        nn.Linear(1200, 1200),
        nn.Tanh(),
        nn.Linear(1200, 1200),
        nn.Tanh(),
        nn.Linear(1200, math.prod(image_shape)),
        nn.Unflatten(1, (channels, height, width)),
    )
    return Decoder(nn.Linear(inputs, 1200), body)


architecture("mlp", "the dSprites networks of Higgins et al. 2017", Architecture(_mlp_encoder, _mlp_decoder, "relu"))


@dataclass
class DenseOptions:
    """Options of the networks."""

    hidden_layers: int = 2
    """Layers between the first and the last number."""
    hidden_width: int = 1024
    """Units in each of them."""
    activation: Literal["relu", "leaky-relu", "softplus", "tanh", "sigmoid", "none"] = "relu"
    """After each hidden layer; leaky-relu has slope 0.2."""


_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": _Leaky,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "none": nn.Identity,
}


@ARCHITECTURES.part("dense", DenseOptions, "linear layers alone, as many and as wide as asked for")
def _dense(options: DenseOptions) -> Architecture:
    for name in ("hidden_layers", "hidden_width"):
        if getattr(options, name) < 1:
            raise UsageError(f"--{name.replace('_', '-')} must be 1 or more, not {getattr(options, name)}")
    activation = _ACTIVATIONS[options.activation]
    between = [options.hidden_width] * options.hidden_layers

    def encoder(image_shape: ImageShape, outputs: int) -> Encoder:
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in itertools.pairwise([math.prod(image_shape), *between]):
            layers += [nn.Linear(before, after), activation()]
        return Encoder(nn.Sequential(*layers), nn.Linear(options.hidden_width, outputs))

    def decoder(image_shape: ImageShape, inputs: int) -> Decoder:
        height, width, channels = image_shape
        layers: list[nn.Module] = [activation()]
        for before, after in itertools.pairwise(between):
            layers += [nn.Linear(before, after), activation()]
        layers += [nn.Linear(options.hidden_width, math.prod(image_shape)), nn.Unflatten(1, (channels, height, width))]
        return Decoder(nn.Linear(inputs, options.hidden_width), nn.Sequential(*layers))

    return Architecture(encoder, decoder, "relu" if "relu" in options.activation else "linear")


@torch.no_grad()
def change_latent_basis(
    source: tuple[Encoder, Decoder], target: tuple[Encoder, Decoder], to_new: Tensor, to_old: Tensor, centre: Tensor
) -> None:
    """Copies networks with wide latents into networks with fewer, along a linear map.

    The target's posterior mean is ``to_new (mean - centre)``, exactly. Its decoder starts from
    ``decode(to_old z + centre)``. Only trunk, body and these two layers are set; the target's log-variances start
    small (-3), independent of the image.

    Args:
        source: Networks of ``old`` latents, whose encoder emits ``[mean | log-variance]``.
        target: Networks of the same architecture with ``new`` latents.
        to_new: ``[new, old]``.
        to_old: ``[old, new]``.
        centre: ``[old]``.
    """
    encoder, decoder = source
    new_encoder, new_decoder = target
    new, old = to_new.shape
    new_encoder.trunk.load_state_dict(encoder.trunk.state_dict())
    new_decoder.body.load_state_dict(decoder.body.state_dict())
    weight, bias = encoder.head.weight[:old], encoder.head.bias[:old]
    new_encoder.head.weight[:new] = to_new @ weight
    new_encoder.head.bias[:new] = to_new @ (bias - centre)
    new_encoder.head.weight[new:] = 0.0
    new_encoder.head.bias[new:] = -3.0
    new_decoder.stem.weight.copy_(decoder.stem.weight @ to_old)
    new_decoder.stem.bias.copy_(decoder.stem.bias + decoder.stem.weight @ centre)
