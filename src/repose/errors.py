"""The one error that users are meant to see."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar, get_args, get_type_hints

Config = TypeVar("Config")
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_LONGEST = 2000
_AGAIN = "It is damaged or something else: make, copy or download it again."


class UserError(Exception):
    """An error that the user can fix: what is wrong, and what to do about it.

    The command line prints `message` and `hint` and exits with code 2; the Python API raises it.
    A message says what was expected and what was found. What was found may come from a hostile file, so
    characters that are not for reading (control codes, halves of surrogates) stand as their escapes, and a
    message of more than 2,000 characters lacks its middle.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        message, hint = _fit_to_print(message), _fit_to_print(hint)
        super().__init__(f"{message}\n{hint}" if hint else message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type["UserError"], tuple[str, str]]:
        return UserError, (self.message, self.hint)


def expected(what: str, wanted: object, found: object, hint: str = "") -> NoReturn:
    """Raise a `UserError` in the usual form: `what: expected …, found …`."""
    raise UserError(f"{what}: expected {wanted}, found {found}", hint)


def without_torch(error: ModuleNotFoundError, what: str = "this") -> Exception:
    """Return what to raise where an import failed: words, if it was PyTorch, which the core does without."""
    if error.name != "torch":
        return error
    return UserError(f"{what} needs PyTorch, which is not installed", "pip install 'repose3d[torch]'")


@contextmanager
def reading(path: str | Path, what: str, hint: str = _AGAIN) -> Iterator[None]:
    """Turn whatever a parser throws inside into a `UserError` about the file at `path`.

    No list of exception types covers what libraries raise for damaged files, so none is kept: this is the
    one handler of a reader. A `UserError`, which says more, passes.

    Args:
        path: the file, for the message.
        what: what it should be, with its article: "a BVH file".
        hint: what to do where it is not.
    """
    try:
        yield
    except (UserError, ImportError):  # a package that is not installed is no fault of the file
        raise
    except FileNotFoundError as error:
        raise UserError(f"{error.filename or path}: no such file or folder", "Check the path.") from None
    except MemoryError:
        message = f"{path}: expected {what}, found more in it than the memory of this machine holds"
        raise UserError(message, "Make it smaller, or check that it is the right file.") from None
    except OSError as error:
        reason = error.strerror or _reason(error)
        raise UserError(f"{path}: cannot be read ({reason})", "Check that you may read it.") from error
    except Exception as error:
        raise UserError(
            f"{path}: expected {what}, found a file that cannot be read ({_reason(error)})", hint
        ) from error


@contextmanager
def needing(what: str, hint: str) -> Iterator[None]:
    """Turn a failed import inside into a `UserError`; `what` says what needs which package."""
    try:
        yield
    except ImportError:
        raise UserError(f"{what}, which is not installed", hint) from None


def reads(
    what: str, hint: str = _AGAIN
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Decorate a reader whose first argument is the path of `what`: its whole body is `reading` that file."""

    def decorate(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        parameters = signature(function)
        path = next(iter(parameters.parameters))

        @wraps(function)
        def read(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            # A wrong call is the programmer's mistake, and is said before the file is looked at.
            given = parameters.bind(*args, **kwargs).arguments
            with reading(given[path], what, hint):
                return function(*args, **kwargs)

        return read

    return decorate


def _reason(error: Exception) -> str:
    """Return the error in a short line."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:200]}" if words else type(error).__name__


def _fit_to_print(text: str) -> str:
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"
    return printable(text)


def printable(text: str) -> str:
    """Escape characters that are not for reading, such as a terminal's control codes."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t\N{NO-BREAK SPACE}" else _escape(letter)
        for letter in text
    )


def _escape(letter: str) -> str:
    # A damaged array of text holds numbers that are no character at all, which no codec takes.
    return f"\\x{ord(letter):02x}" if ord(letter) < 256 else f"\\u{ord(letter):04x}"


def override(config: Config, options: dict[str, Any]) -> Config:
    """Replace values of the dataclass `config`; raises UserError for options that it does not have."""
    try:
        return replace(config, **options)  # type: ignore[type-var]
    except TypeError:
        known = [field.name for field in fields(config)]  # type: ignore[arg-type]
        unknown = ", ".join(sorted(set(options) - set(known)))
        raise UserError(f"unknown option {unknown}", f"Known options: {', '.join(known)}.") from None


@dataclass(frozen=True)
class Within:
    """The reasonable values of an option, declared next to it: `steps: Annotated[int, Within(1, 10**9)]`.

    Of a tuple each item is meant. What lies outside would take ages, all memory, or mean nothing.
    """

    low: float
    high: float
    rising: bool = False
    """The items are a range, from its first to its last."""


def check_ranges(config: object) -> None:
    """Raise UserError where a number of this dataclass is outside of its `Within`, or is NaN.

    Meant to be called first in `__post_init__`, so that Python and the command line are told the same.
    """
    for name, hint in get_type_hints(type(config), include_extras=True).items():
        value = getattr(config, name)
        items = value if isinstance(value, tuple | list) else () if value is None else (value,)
        for limits in (extra for extra in get_args(hint)[1:] if isinstance(extra, Within)):
            counted = [item for item in items if not isinstance(item, str)]  # a name in a number's place
            if not all(limits.low <= item <= limits.high for item in counted):
                expected(name, f"{_number(limits.low)} to {_number(limits.high)}", value)
            if limits.rising and list(items) != sorted(items):
                expected(name, "the smaller number first", value)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
