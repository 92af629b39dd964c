"""Models for others: a folder of weights and plain data that runs nothing when it is opened.

`save_pretrained` and `from_pretrained` are our own folder, `to_diffusers` and `from_diffusers` that of a diffusers
pipeline, `push_to_hub` uploads one.
"""

from sde_diffusion.sharing.card import Card, Figure
from sde_diffusion.sharing.chain import timestep_of
from sde_diffusion.sharing.diffusers_folder import from_diffusers, is_pipeline, to_diffusers
from sde_diffusion.sharing.hub import push_to_hub
from sde_diffusion.sharing.pretrained import Pretrained, from_pretrained, is_pretrained, save_pretrained

__all__ = [
    "Card",
    "Figure",
    "Pretrained",
    "from_diffusers",
    "from_pretrained",
    "is_pipeline",
    "is_pretrained",
    "push_to_hub",
    "save_pretrained",
    "timestep_of",
    "to_diffusers",
]
