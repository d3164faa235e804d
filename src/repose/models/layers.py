"""What DSTformer and MotionAGFormer share, under the published tensor names."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head self-attention among the tokens of each group (MotionBERT, equations 1 and 2)."""

    def __init__(self, width: int, heads: int, qkv_bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "groups tokens width"]) -> Float[Tensor, "groups tokens width"]:
        groups, tokens, width = x.shape
        qkv = self.qkv(x).view(groups, tokens, 3, self.heads, width // self.heads)
        # Four axes each: with five, torch.compile gave wrong values on CPU and ONNX export refused.
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(groups, tokens, width))


class MLP(nn.Module):
    """Two linear maps with a GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*tokens width"]) -> Float[Tensor, "*tokens width"]:
        return self.fc2(F.gelu(self.fc1(x)))


class Representation(nn.Module):
    """The motion representation: a linear map and tanh (MotionBERT, section 3.2)."""

    def __init__(self, width: int, representation: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, representation)

    def forward(self, x: Float[Tensor, "*tokens width"]) -> Float[Tensor, "*tokens representation"]:
        return torch.tanh(self.fc(x))
