r"""Attention by torch's fused kernels wherever these have the derivatives that are asked for.

    attend(q, k, v) = softmax(q k^T / sqrt(d)) v                                                                   (1)

The fused kernels have a value and a first derivative by reverse differentiation: all that training and sampling need.
They have no forward-mode derivative, which likelihoods use, and no second one, which score matching uses. Everything in
this library that differentiates a network with respect to its input does so by torch.func, whose transforms can be
seen: within one, or within a level of torch.autograd.forward_ad, (1) is computed by elementary operations, which have
all derivatives. What cannot be noticed beforehand is torch.autograd.grad(..., create_graph=True): for that, run the network
`with twice_differentiable():`.

References:
    Vaswani et al., Attention Is All You Need, 2017, https://arxiv.org/abs/1706.03762, equation (1)
    Dao et al., FlashAttention, 2022, https://arxiv.org/abs/2205.14135
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention


def twice_differentiable() -> AbstractContextManager[Any]:
    """Within it, attention has derivatives of every order and kind; it costs the time and memory of all the weights.

    It is torch's own choice of a kernel, so foreign networks that use torch's attention obey it too.
    """
    return sdpa_kernel(SDPBackend.MATH)


def transformed() -> bool:
    """Whether a transform of torch.func or a level of forward differentiation is active."""
    stack = torch._C._functorch.peek_interpreter_stack()  # pyright: ignore[reportAttributeAccessIssue]
    return stack is not None or torch.autograd.forward_ad._current_level >= 0


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Equation (1) for query, key and value (..., tokens, d), each head on its own."""
    if transformed():
        with twice_differentiable():
            return scaled_dot_product_attention(query, key, value)
    return scaled_dot_product_attention(query, key, value)


class HeadedAttention(nn.Module):
    """Every token looks at every other with several heads: (B, N, width) -> the same.

    The heads' queries, keys and values are views of one product, and the fused kernels read them where they lie.
    """

    def __init__(self, width: int, heads: int) -> None:
        """Raises ValueError unless the heads divide the width."""
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"the heads divide the width, got {heads} heads and a width of {width}; change one")
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """out(attend(q, k, v)), tokens (B, N, width)."""
        split = self.query_key_value(tokens).unflatten(2, (3, self.heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        return self.out(attend(query, key, value).transpose(1, 2).flatten(2))
