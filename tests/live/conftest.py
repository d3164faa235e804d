"""A camera that waits for its detector."""

from collections.abc import Callable

import pytest
from filming import People


@pytest.fixture
def one_at_a_time() -> tuple[Callable[[int], object], People]:
    """A camera's `go` that waits for the detector to have seen the frame before, and that detector."""
    people = People()

    def go(number: int) -> None:
        while len(people.seen) < number:
            assert people.found.wait(60)
            people.found.clear()

    return go, people
