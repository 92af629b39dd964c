"""Models for others: a folder of weights and plain data that runs nothing when it is opened.

`DiffusionModel.save` and `DiffusionModel.load` use it: `write_pretrained` and `read_pretrained` are our own folder,
`to_diffusers` and `read_diffusers` that of a diffusers pipeline, `push_to_hub` uploads one.
"""

from sde_diffusion.sharing.card import Card, Figure
from sde_diffusion.sharing.chain import timestep_of
from sde_diffusion.sharing.diffusers_folder import is_pipeline, read_diffusers, to_diffusers
from sde_diffusion.sharing.hub import push_to_hub
from sde_diffusion.sharing.pretrained import describe, digest, is_pretrained, read_pretrained, write_pretrained

__all__ = [
    "Card",
    "Figure",
    "describe",
    "digest",
    "is_pipeline",
    "is_pretrained",
    "push_to_hub",
    "read_diffusers",
    "read_pretrained",
    "timestep_of",
    "to_diffusers",
    "write_pretrained",
]
