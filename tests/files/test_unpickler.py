"""PyTorch files: what they ask for is borne out by them, before PyTorch opens them."""

import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from repose.errors import UserError
from repose.files.unpickler import check_torch_file

BOMB = b"\x80\x02K\x01q\x00" + b"".join(
    b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) for i in range(60)
)
FOUR_GIB = b"\x8a\x05\x00\x00\x00\x00\x01"


def archive(path: Path, members: dict[str, bytes], packing: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", packing) as file:
        for name, content in members.items():
            file.writestr(name, content)


@pytest.mark.parametrize("zipped", [True, False])
def test_what_pytorch_saves_passes(zipped: bool, tmp_path: Path) -> None:
    layer = torch.nn.Linear(300, 200)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(300)).sum().backward()
    optimizer.step()
    saved: dict[str, Any] = {
        "model": layer.state_dict(),
        "optimizer": optimizer.state_dict(),
        "parameter": layer.weight,
        "ordered": OrderedDict(a=torch.ones(3, dtype=torch.bfloat16)),
        "best": np.float64(3.5),
        "step": 7,
        "shape": torch.Size([2, 3]),
    }
    torch.save(saved, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    check_torch_file(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (BOMB + b"0}h<K\x01s.", "tuples of tuples"),
        (BOMB + b"0ccollections\nOrderedDict\n]h<K\x01\x86a\x85R.", "tuples of tuples"),
        (b"\x80\x02cbuiltins\nbytearray\n" + FOUR_GIB + b"\x85R.", "zeros by their number"),
        (b"\x80\x02c__builtin__\nbytearray\n" + FOUR_GIB + b"\x85R.", "zeros by their number"),
        (b"\x80\x02ctorch\nFloatTensor\n" + FOUR_GIB + b"\x85R.", "zeros by their number"),
        (b"\x80\x02ctorch\nFloatTensor\n" + FOUR_GIB + b"\x85\x81.", "zeros by their number"),
        (b"\x80\x02ctorch\nFloatTensor\nctorch\nSize\nK\x04K\x04\x86\x85R\x85R.", "zeros by their number"),
        (b"\x80\x02}", "cannot be read"),
    ],
    ids=range(8),
)
def test_pickles_that_ask_for_more_are_refused(pickled: bytes, message: str, tmp_path: Path) -> None:
    archive(tmp_path / "zip.pt", {"a/data.pkl": pickled, "a/version": b"3\n"})
    (tmp_path / "legacy.pt").write_bytes(pickled)
    for name in ("zip.pt", "legacy.pt"):
        with pytest.raises(UserError, match=message):
            check_torch_file(tmp_path / name)


def test_records_do_not_inflate_to_many_times_their_size(tmp_path: Path) -> None:
    members = {"a/data.pkl": b"\x80\x02}.", "a/data/0": bytes(200 << 20)}
    archive(tmp_path / "a.pt", members, zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="at most 100 times its size"):
        check_torch_file(tmp_path / "a.pt")
