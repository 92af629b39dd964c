"""What a model is conditioned on: a class, and columns of numbers, in the user's own words and units."""

from sde_diffusion.conditions.columns import CONDITION, CONTEXT, ConditionColumns
from sde_diffusion.conditions.given import class_number, conditions
from sde_diffusion.conditions.probe import check_context, check_heeded, check_taken

__all__ = [
    "CONDITION",
    "CONTEXT",
    "ConditionColumns",
    "check_context",
    "check_heeded",
    "check_taken",
    "class_number",
    "conditions",
]
