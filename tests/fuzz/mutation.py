"""Changing a file in ways that readers did not think of.

A mutator takes a generator of random numbers and the content of a sound file, and returns another content.
Those that know a format take the file apart, change a value, a key or an array, and put it together again,
so that what is wrong reaches beyond the first lines of the parser; the others change bytes or words.
"""

import json
import re
import struct
import warnings
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

Mutator = Callable[[Random, bytes], bytes]

NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 2, 3, 17, 255, 256, 65536, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63, 2**64, 10**9, 10**18,
    -(10**9),
    20260101, 1e308, -1e308, 1e39, 5e-324, 1e-9, 0.5, -0.0, float("nan"), float("inf"), float("-inf"),
    True, False,
)  # fmt: skip
TEXTS = (
    "", " ", "0", "-1", "1e308", "nan", "-inf", "²", "٣", "１２", "9" * 400, "0x10", "1_000", "None", "true",
    "\x00",
    "a" * 3000, "../../etc/passwd", "/dev/zero", "<script>alert(1)</script>", "läufer", "\ud800", "\u202e",
    "\x1b[2J",
    "{", "%s", "h36m-17", "coco-17", "pelvis", "{0.__class__}",
)  # fmt: skip
WORDS = (
    *(str(number) for number in NUMBERS), *(text for text in TEXTS if text.isprintable() and text.strip()),
    "9" * 5000, "1e99999", "+", "-", ".", "1.", "--1", "1,5", "#", "{", "}", ":", "(",
)  # fmt: skip
SHAPES = (
    "()", "(0,)", "(-1,)", "(1, 17, -1)", "(10**9,)", "(1000000000, 0, 3)", "(0, 1000000000, 3)",
    "(2, 17, 3)",
    "(1000000000, 1000000000, 1000000000)", "(18446744073709551616,)", "(" * 500 + ")" * 500, "3",
    "(1.5,)", "[2]",
    "('a',)", "(True,)", "(" + "1, " * 70 + ")",
)  # fmt: skip
DTYPES = (
    "<f4", ">f8", "<f2", "<i8", "<u8", "|b1", "<c16", "<U4", "<U1000000000", "|S0", "|V8", "|O", "<M8[ns]",
    "<m8[s]",
    "<f16", "<f99", "", "²",
)  # fmt: skip
_CASTS = ("f2", "f4", ">f8", "i1", "u1", "i8", "u8", "?", "c8", "U8", "S8", "O", "M8[s]", "V4")


class Raw:
    """JSON that `json.dumps` would not write: `text` as it is."""

    def __init__(self, text: str) -> None:
        self.text = text


RAW = (
    "9" * 5000,
    "-" + "9" * 5000,
    "1e99999",
    "[" * 100_000 + "]" * 100_000,
    '{"a":' * 50_000,
    "NaN",
    "01",
    "'a'",
)


def of_bytes(rng: Random, data: bytes) -> bytes:
    """Bits, runs of bytes and whole numbers changed, parts cut, repeated, moved; the end missing."""
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        changed = bytearray(data)
        at = rng.randrange(len(changed) + 1)
        size = min(rng.choice((1, 1, 2, 4, 8, 64, 1024)), len(changed) - at)
        match rng.randrange(8):
            case 0 if size:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at : at + size] = rng.randbytes(size)
            case 2:
                del changed[at : at + size]
            case 3:
                changed[at:at] = changed[at : at + size] * rng.choice((1, 2, 100))
            case 4:
                del changed[at:]
            case 5:
                code = rng.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
                most = 2 ** (8 * struct.calcsize(code)) - 1
                number = struct.pack(code, rng.choice((0, 1, most // 2, most // 2 + 1, most, 10**4)))
                changed[at : at + len(number)] = number
            case 6:
                source = rng.randrange(len(changed) + 1)
                changed[at : at + size] = changed[source : source + size]
            case _:
                changed[at:at] = rng.randbytes(size)
        data = bytes(changed)
    return data


def of_text(rng: Random, data: bytes) -> bytes:
    """Words replaced, exchanged, doubled and gone; lines repeated, exchanged and gone; other line ends."""
    text = data.decode("utf-8", "surrogateescape")
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        pieces = re.split(r"(\s+)", text) if rng.random() < 0.75 else text.splitlines(keepends=True)
        words = [number for number, piece in enumerate(pieces) if piece.strip()]
        if not words:
            break
        at, other = rng.choice(words), rng.choice(words)
        match rng.randrange(7):
            case 0 | 1 | 2:
                pieces[at] = rng.choice(WORDS)
            case 3:
                pieces[at], pieces[other] = pieces[other], pieces[at]
            case 4:
                pieces[at] = ""
            case 5:
                pieces[at] = f"{pieces[at]}{rng.choice((' ', chr(10), ''))}{pieces[at]}" * rng.choice((1, 50))
            case _:
                del pieces[at + 1 : rng.choice((at + 2, len(pieces)))]
        text = "".join(pieces)
    if rng.random() < 0.05:
        text = text.replace("\n", rng.choice(("\r", "\r\n", "\x00", "\u2028")))
    return text.encode("utf-8", "surrogatepass" if "\ud800" in text else "surrogateescape")


def of_table(separator: str) -> Mutator:
    """Cells of a table replaced, exchanged and empty; rows and columns doubled, exchanged and gone."""

    def change(rng: Random, data: bytes) -> bytes:
        rows = [line.split(separator) for line in data.decode().splitlines()]
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            at, other = rng.randrange(len(rows)), rng.randrange(len(rows))
            row = rows[at]
            cell = rng.randrange(len(row))
            match rng.randrange(10):
                case 0 | 1 | 2 | 3:
                    row[cell] = rng.choice((*WORDS, *TEXTS))
                case 4:
                    row[cell] = ""
                case 5:
                    width = rng.choice((1, 3, len(row)))
                    row[cell : cell + width] = rows[other][cell : cell + width]
                case 6:
                    rows[at], rows[other] = rows[other], rows[at]
                case 7:
                    rows[at:at] = [row] * rng.choice((1, 50))
                case 8:
                    del rows[at : rng.choice((at + 1, len(rows)))]
                case _:
                    for line in rows:
                        line[cell : cell + 1] = rng.choice(([], line[cell : cell + 1] * 2))
            if not rows or not all(rows):
                break
        text = rng.choice(("\n", "\n", "\n", "\r\n")).join(separator.join(row) for row in rows) + "\n"
        return text.encode("utf-8", "replace")

    return change


def of_json(rng: Random, data: bytes) -> bytes:
    tree = json.loads(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        tree = changed_tree(rng, tree)
    return to_json(tree).encode()


def of_json_lines(rng: Random, data: bytes) -> bytes:
    lines = data.splitlines()
    at = rng.randrange(len(lines))
    lines[at] = of_json(rng, lines[at])
    return b"\n".join(lines) + b"\n" * rng.randrange(2)


def to_json(tree: Any) -> str:
    raw: list[str] = []

    def default(value: Any) -> str:
        raw.append(value.text if isinstance(value, Raw) else "null")
        return f"\0raw{len(raw) - 1}\0"

    text = json.dumps(tree, default=default)
    for number, piece in enumerate(raw):
        text = text.replace(f'"\\u0000raw{number}\\u0000"', piece, 1)
    return text


def changed_tree(rng: Random, tree: Any) -> Any:
    """The tree with one node changed; deep nodes are as likely as shallow ones."""
    holder: Any = [tree]
    container, key = holder, 0
    while True:
        value = container[key]
        if not isinstance(value, dict | list) or not value or rng.random() < 0.2:
            break
        container, key = value, rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
    if isinstance(container, dict) and rng.random() < 0.25:
        _other_key(rng, container, key)
    elif isinstance(container, list) and container is not holder and rng.random() < 0.25:
        _other_length(rng, container, key)
    else:
        container[key] = _other_value(rng, container[key])
    return holder[0] if holder else None


def _other_key(rng: Random, container: dict[Any, Any], key: Any) -> None:
    match rng.randrange(4):
        case 0:
            del container[key]
        case 1:
            container[rng.choice((*TEXTS, *container))] = container.pop(key)
        case 2:
            container[rng.choice((*TEXTS, *container))] = container[key]
        case _:
            other = rng.choice(list(container))
            container[key], container[other] = container[other], container[key]


def _other_length(rng: Random, container: list[Any], at: int) -> None:
    match rng.randrange(5):
        case 0:
            del container[at]
        case 1:
            container.insert(at, container[at])
        case 2:
            del container[at:]
        case 3:
            container[at:at] = [container[at]] * rng.choice((2, 100))
        case _:
            container.reverse()


def _other_value(rng: Random, value: Any) -> Any:
    if isinstance(value, np.ndarray) and rng.random() < 0.85:
        return changed_array(rng, value)
    if isinstance(value, str) and rng.random() < 0.9 and value.startswith("{"):
        return to_json(changed_tree(rng, json.loads(value)))
    if isinstance(value, int | float) and rng.random() < 0.6:
        near = (value + 1, value - 1, -value, value * 1000, value / 1000, [value], str(value))
        return rng.choice((*NUMBERS, *near))
    match rng.randrange(8):
        case 0 | 1:
            return rng.choice(NUMBERS)
        case 2 | 3:
            return rng.choice(TEXTS)
        case 4:
            return None
        case 5:
            return rng.choice(([], {}, [[]], [None], [value], {"a": value}, [value, value], {"": None}))
        case 6:
            return [rng.choice(NUMBERS)] * rng.choice((1, 2, 3, 17))
        case _:
            return Raw(rng.choice(RAW))


def changed_array(rng: Random, array: np.ndarray) -> np.ndarray:
    """Nasty numbers in it; parts, other axes, other types of it."""
    match rng.randrange(8):
        case 0 | 1 | 2 if array.size:
            changed = array.copy()
            flat = changed.reshape(-1)
            start = rng.randrange(array.size)
            run = slice(start, start + rng.choice((1, 1, 3, 51, array.size)))
            if array.dtype.kind == "U":
                texts = flat.astype(object)
                texts[start] = _text(_other_value(rng, str(flat[start])))
                return texts.astype(str).reshape(array.shape)
            _put(flat, run, rng.choice(NUMBERS if array.dtype.kind != "O" else (*NUMBERS, *TEXTS, None)))
            return changed
        case 3 if array.ndim:
            axis = rng.randrange(array.ndim)
            stop = rng.choice((0, 1, -1, 2))
            return array[(slice(None),) * axis + (slice(None, stop),)]
        case 4 if array.ndim:
            return rng.choice(
                (array[:0], array[None], array.T, array[..., None], np.concatenate([array, array]))
            )
        case 5:
            return (
                array.reshape(-1) if rng.random() < 0.5 else array[(0,) * array.ndim if array.size else ...]
            )
        case 6:
            return np.full(array.shape, rng.choice((np.nan, 0.0, 1e9, -1.0)))
        case _:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    return array.astype(rng.choice(_CASTS))
                except (TypeError, ValueError):
                    return array[..., None]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value)


def _put(flat: np.ndarray, run: slice, number: Any) -> None:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            flat[run] = number
        except (OverflowError, ValueError, TypeError):
            flat[run] = np.zeros((), flat.dtype)
