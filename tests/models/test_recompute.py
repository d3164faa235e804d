"""Computing again gives what keeping gives."""

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from repose.models import build, find_spec
from repose.models.recompute import recompute

SPEC = find_spec("repose").with_config(width=32, representation=16, depth=2, frames=9)


class Operations(TorchDispatchMode):
    """Counts the operations that are run."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def test_outputs_and_gradients_are_the_same() -> None:
    torch.manual_seed(0)
    plain, lean = build(SPEC), build(SPEC)
    lean.load_state_dict(plain.state_dict())
    recompute(lean)
    x = torch.rand(2, 9, 17, 3)
    outputs = [model(x) for model in (plain, lean)]
    torch.testing.assert_close(*outputs, rtol=1e-6, atol=1e-7)
    for output in outputs:
        output.square().mean().backward()
    for (name, one), other in zip(plain.named_parameters(), lean.parameters(), strict=True):
        assert one.grad is not None
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-8, msg=name)


def test_what_is_dear_is_not_computed_again() -> None:
    plain, lean = build(SPEC), build(SPEC)
    recompute(lean)
    x = torch.rand(2, 9, 17, 3)
    backward = []
    for model in (plain, lean):
        loss = model(x).square().mean()
        with Operations() as operations:
            loss.backward()
        backward.append(operations.count)
    again = backward[1] - backward[0]
    halves = 2 * 2 * 2
    assert again["gelu"] == halves
    assert again["native_layer_norm"] == 2 * halves
    assert again["addmm"] == 2  # the weights of the two streams: two numbers a token
    assert not any(name in again for name in ("mm", "bmm"))
    assert not any("scaled_dot_product" in name for name in again)


def test_without_gradients_and_in_checkpoints_nothing_changes() -> None:
    model = build(SPEC)
    names = list(model.state_dict())
    recompute(model)
    assert list(model.state_dict()) == names
    with torch.inference_mode():
        assert model.eval()(torch.rand(1, 9, 17, 3)).shape == (1, 9, 17, 3)


def test_other_models_stay_as_they_are() -> None:
    model = build("motionagformer-xs")
    before = {name: vars(module).keys() for name, module in model.named_modules()}
    recompute(model)
    assert before == {name: vars(module).keys() for name, module in model.named_modules()}
