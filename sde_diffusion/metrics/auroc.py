"""The area under the ROC curve of an out-of-distribution score.

References:
    Hanley & McNeil, The Meaning and Use of the Area under a Receiver Operating Characteristic (ROC) Curve, 1982,
        https://doi.org/10.1148/radiology.143.1.7063747
"""

from __future__ import annotations

import torch
from torch import Tensor


def auroc(outliers: Tensor, inliers: Tensor) -> float:
    """P(outlier's score > inlier's score) + P(equal)/2 over all pairs of scores (M,) and (N,): 1/2 without information.

    Raises ValueError for an empty set.
    """
    from sklearn.metrics import roc_auc_score

    if not (len(outliers) and len(inliers)):
        raise ValueError(
            f"an area needs scores of both kinds, got {len(outliers)} and {len(inliers)}; give some of each"
        )
    scores = torch.cat([outliers.double().cpu(), inliers.double().cpu()]).numpy()
    return float(roc_auc_score([1] * len(outliers) + [0] * len(inliers), scores))
