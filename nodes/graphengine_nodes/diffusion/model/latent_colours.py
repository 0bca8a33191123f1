"""The colours of latents: how red, green and blue follow from their channels, about.

The factors are fitted to decoded pictures, not exact: those of SD1 by keturn, erucipe and torridgristle, those of
SDXL by StAlKeR7779, those of SD3.5 and Flux.1 by the InvokeAI team; all as InvokeAI (Apache-2.0,
invokeai/app/util/step_callback.py) has them. For other latents there are none of free origin. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Factors = tuple[tuple[float, float, float], ...]
"""Red, green and blue, about -1..1, of each channel of a latent on the model's scale."""

# fmt: off
SD1_FACTORS: Factors = (
    (0.3444, 0.1385, 0.0670), (0.1247, 0.4027, 0.1494), (-0.3192, 0.2513, 0.2103), (-0.1307, -0.1874, -0.7445),
)
SDXL_FACTORS: Factors = (
    (0.3816, 0.4930, 0.5320), (-0.3753, 0.1631, 0.1739), (0.1770, 0.3588, -0.2048), (-0.4350, -0.2644, -0.4289),
)
SD3_FACTORS: Factors = (
    (-0.05240681, 0.03251581, 0.0749016), (-0.0580572, 0.00759826, 0.05729818),
    (0.16144888, 0.01270368, -0.03768577), (0.14418615, 0.08460266, 0.15941818),
    (0.04894035, 0.0056485, -0.06686988), (0.05187166, 0.19222395, 0.06261094),
    (0.1539433, 0.04818359, 0.07103094), (-0.08601796, 0.09013458, 0.10893912),
    (-0.12398469, -0.06766567, 0.0033688), (-0.0439737, 0.07825329, 0.02258823),
    (0.03101129, 0.06382551, 0.07753657), (-0.01315361, 0.08554491, -0.08772475),
    (0.06464487, 0.05914605, 0.13262741), (-0.07863674, -0.02261737, -0.12761454),
    (-0.09923835, -0.08010759, -0.06264447), (-0.03392309, -0.0804029, -0.06078822),
)
FLUX_FACTORS: Factors = (
    (-0.0412, 0.0149, 0.0521), (0.0056, 0.0291, 0.0768), (0.0342, -0.0681, -0.0427), (-0.0258, 0.0092, 0.0463),
    (0.0863, 0.0784, 0.0547), (-0.0017, 0.0402, 0.0158), (0.0501, 0.1058, 0.1152), (-0.0209, -0.0218, -0.0329),
    (-0.0314, 0.0083, 0.0896), (0.0851, 0.0665, -0.0472), (-0.0534, 0.0238, -0.0024), (0.0452, -0.0026, 0.0048),
    (0.0892, 0.0831, 0.0881), (-0.1117, -0.0304, -0.0789), (0.0027, -0.0479, -0.0043), (-0.1146, -0.0827, -0.0598),
)
# fmt: on


@dataclass(frozen=True, slots=True)
class LatentColours:
    """How the latents of some models are shown: the linear mix, and how the file of the tiny decoder begins."""

    factors: Factors
    decoder: str


SD1 = LatentColours(SD1_FACTORS, "taesd_decoder")
SDXL = LatentColours(SDXL_FACTORS, "taesdxl_decoder")
SD3 = LatentColours(SD3_FACTORS, "taesd3_decoder")
FLUX = LatentColours(FLUX_FACTORS, "taef1_decoder")

_BY_FORMAT: Mapping[tuple[int, float], LatentColours] = {
    (4, 0.18215): SD1,
    (4, 0.13025): SDXL,
    (16, 1.5305): SD3,
    (16, 0.3611): FLUX,
}


def latent_colours(channels: int, scale_factor: float) -> LatentColours | None:
    """Those of the latents with so many channels and that factor of scale; None where they are not known."""
    return _BY_FORMAT.get((channels, scale_factor))
