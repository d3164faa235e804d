"""Numbers from files: what is no number, not finite, or too large for a recording is refused."""

import numpy as np
import pytest

from repose.errors import UserError
from repose.files.numbers import LARGEST, LARGEST_M, check_numbers


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "i1", "u8", "?", "<i8"])
def test_numbers_of_recordings_pass_in_every_type(dtype: str) -> None:
    check_numbers("a", np.array([[0, 1], [1, 0]]).astype(dtype))
    check_numbers("a", np.zeros((0, 3), dtype))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([1.0, np.nan, np.inf]), "a: expected finite numbers, found nan at (1,) (2 in all)"),
        (np.array([[1.0, -1e308]]), "a: expected numbers up to 1,000,000,000, found -1e+308 at (0, 1)"),
        (np.array([-(2**63)]), "found -9.22337e+18 at (0,)"),
        (np.array([2**64 - 1], np.uint64), "found 1.84467e+19 at (0,)"),
        (np.array([np.inf], np.float16), "a: expected finite numbers, found inf"),
        (np.array(1e10), "a: expected numbers up to 1,000,000,000, found 1e+10"),
        (np.array([1 + 2j]), "a: expected numbers, found an array of complex128"),
        (np.array(["1"]), "a: expected numbers, found an array of <U1"),
        (np.array([None]), "a: expected numbers, found an array of object"),
        (np.array(["2026-01-01"], "M8[s]"), "a: expected numbers, found an array of datetime64[s]"),
    ],
    ids=range(10),
)  # fmt: skip
def test_other_numbers_are_refused_without_a_warning(values: np.ndarray, message: str) -> None:
    with pytest.raises(UserError) as error:
        check_numbers("a", values)
    assert error.value.message.startswith(message) or message in error.value.message


def test_the_bound_itself_passes_and_nan_does_where_it_may_be_missing() -> None:
    check_numbers("a", [LARGEST, -LARGEST])
    check_numbers("a", [LARGEST_M], largest=LARGEST_M)
    check_numbers("a", np.array([np.nan, 1.0]), missing=True)
    with pytest.raises(UserError, match="found inf in frame 1"):
        check_numbers("a", np.array([np.nan, np.inf]), missing=True, where=lambda i: f"in frame {i[0]}")
