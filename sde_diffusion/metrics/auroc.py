"""The area under the ROC curve: how often a stranger scores above one of the law.

References:
    Hanley & McNeil, The Meaning and Use of the Area under a Receiver Operating Characteristic (ROC) Curve, 1982,
        https://doi.org/10.1148/radiology.143.1.7063747
"""

from __future__ import annotations

import torch
from torch import Tensor


def auroc(strangers: Tensor, inliers: Tensor) -> float:
    """P(score of a stranger > score of an inlier) + P(equal)/2 over all pairs of scores (M,) and (N,): 1/2 tells nothing.

    Raises ValueError for an empty set.
    """
    if not (len(strangers) and len(inliers)):
        raise ValueError(
            f"an area needs scores of both kinds, got {len(strangers)} and {len(inliers)}; give some of each"
        )
    ordered = inliers.sort().values
    above, reach = (torch.searchsorted(ordered, strangers.to(ordered), right=side).double() for side in (False, True))
    return ((above + reach) / 2 / len(ordered)).mean().item()
