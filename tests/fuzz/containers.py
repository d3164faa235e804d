"""Changing what is inside of files that hold arrays and objects."""

import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import torch

from .mutation import DTYPES, SHAPES, changed_array, changed_tree, of_text, to_json


def of_pickle(rng: Random, data: bytes) -> bytes:
    """Its values, then written in any protocol."""
    tree = changed_tree(rng, pickle.loads(data))
    return pickle.dumps(tree, rng.randrange(2, pickle.HIGHEST_PROTOCOL + 1))


def of_npz(rng: Random, data: bytes) -> bytes:
    """Its arrays: values, shapes, types, headers; arrays that are gone, renamed and copied."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for _ in range(rng.choice((1, 1, 1, 2))):
        name = rng.choice(list(members))
        match rng.randrange(10):
            case 0:
                del members[name]
            case 1:
                members[rng.choice((*members, "a.npy", "../a.npy", "about", "²"))] = members.pop(name)
            case 2:
                members[rng.choice((*members, "more.npy"))] = members[name]
            case _:
                members[name] = of_npy(rng, members[name])
        if not members:
            break
    buffer = io.BytesIO()
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def of_npy(rng: Random, data: bytes) -> bytes:
    if rng.random() < 0.25:
        return _other_header(rng, data)
    array = np.load(io.BytesIO(data), allow_pickle=True)
    if array.dtype.hasobject and array.shape == ():  # a dictionary, as data sets have it
        tree = np.empty((), dtype=object)
        tree[()] = changed_tree(rng, array.item())
        return _npy(tree)
    return _npy(changed_array(rng, array))


def of_safetensors(rng: Random, data: bytes) -> bytes:
    """Its header, in which the description of the model is a text of JSON."""
    size = int.from_bytes(data[:8], "little")
    header = to_json(changed_tree(rng, json.loads(data[8 : 8 + size]))).encode()
    announced = len(header) if rng.random() < 0.95 else rng.choice((0, 10**9, 2**63, 2**64 - 1))
    return announced.to_bytes(8, "little") + header + data[8 + size :]


def of_torch(rng: Random, data: bytes) -> bytes:
    tree = torch.load(io.BytesIO(data), weights_only=False)
    tree = changed_tree(rng, _convert(tree, torch.Tensor, lambda tensor: tensor.numpy()))
    buffer = io.BytesIO()
    torch.save(_convert(tree, np.ndarray, _tensor), buffer)
    return buffer.getvalue()


def _tensor(array: np.ndarray) -> Any:
    try:
        return torch.from_numpy(array.copy())
    except (TypeError, ValueError):
        return array


def _convert(tree: Any, kind: type, convert: Callable[[Any], Any]) -> Any:
    if isinstance(tree, dict):
        return {key: _convert(value, kind, convert) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_convert(value, kind, convert) for value in tree]
    return convert(tree) if isinstance(tree, kind) else tree


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=True)
    return buffer.getvalue()


def _other_header(rng: Random, data: bytes) -> bytes:
    """The `.npy` with another shape, type, order or version in its header."""
    size = int.from_bytes(data[8:10], "little")
    header, body = data[10 : 10 + size].decode("latin1"), data[10 + size :]
    match rng.randrange(5):
        case 0 | 1:
            shape = rng.choice(SHAPES).replace("10**9", "1000000000")
            header = re.sub(r"'shape': \([^)]*\)", lambda _: f"'shape': {shape}", header)
        case 2:
            kind = rng.choice(DTYPES)
            header = re.sub(r"'descr': '[^']*'", lambda _: f"'descr': {kind!r}", header)
        case 3:
            header = of_text(rng, header.encode()).decode("utf-8", "replace")
        case _:
            return bytes((*data[:6], rng.choice((0, 1, 2, 3, 4, 255)), rng.choice((0, 9)), *data[8:]))
    coded = header.encode("latin1", "replace")[: 2**16 - 1]
    return data[:8] + len(coded).to_bytes(2, "little") + coded + body


def of_h5(rng: Random, data: bytes) -> bytes:
    """The datasets of an HDF5 file: values, axes, types, how they are stored; some gone, renamed, linked."""
    import h5py

    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        for _ in range(rng.choice((1, 1, 1, 2))):
            name = rng.choice(list(file))
            held = file.get(name)
            if not isinstance(held, h5py.Dataset) or held.size > 10**5:  # made so in the round before
                break
            array = held[()]
            match rng.randrange(8):
                case 0:
                    del file[name]
                case 1:
                    file.move(name, rng.choice(("a", "²", f"{name}/inside", "df_with_missing")))
                case 2:
                    del file[name]
                    file[name] = rng.choice(
                        (h5py.SoftLink("/tracks"), h5py.ExternalLink("/etc/passwd", "/a"))
                    )
                case 3:
                    del file[name]
                    options = rng.choice(({"compression": "gzip"}, {"fletcher32": True}, {"shuffle": True}))
                    shape = rng.choice(((10**9,), (2, 10**6, 3), array.shape or (1,), (0, 3)))
                    file.create_dataset(
                        name, shape, "f8", chunks=True, maxshape=(None,) * len(shape), **options
                    )
                case 4:
                    del file[name]
                    file.create_group(f"{name}/a")
                case _:
                    del file[name]
                    try:
                        file[name] = changed_array(rng, np.asarray(array))
                    except (TypeError, ValueError):  # a type that HDF5 does not have
                        file[name] = "text"
    return buffer.getvalue()
