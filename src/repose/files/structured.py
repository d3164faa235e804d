"""RePOSE's own JSON (results, stores, models, runs) as typed and bounded values.

Each kind of file is a class whose fields say what they may hold; the library msgspec checks them all when
the file is read, so that nothing further on meets a value of another type.
"""

from typing import Annotated, Any

import msgspec

from repose.errors import UserError

Text = Annotated[str, msgspec.Meta(max_length=10_000)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Whole = Annotated[int, msgspec.Meta(gt=-(2**53), lt=2**53)]

_AGAIN = "It is damaged, or another program wrote it: make it again."


def decode(name: str, text: str | bytes, kind: Any, hint: str = _AGAIN) -> Any:
    """Decode a JSON text as a value of `kind` (a msgspec Struct, a dataclass or a plain type).

    Raises:
        UserError: the text is no JSON, is nested too deep, or a value has another type or is out of bounds.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise _refused(name, error, hint) from None


def convert(name: str, values: Any, kind: Any, hint: str = _AGAIN) -> Any:
    """Convert plain values (dictionaries, lists, numbers, text) to `kind`; raises as `decode`."""
    try:
        return msgspec.convert(values, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _refused(name, error, hint) from None


def _refused(name: str, error: Exception, hint: str) -> UserError:
    """In the usual form: msgspec says "Expected `int`, got `str` - at `$.fps`"."""
    if isinstance(error, RecursionError):
        return UserError(f"{name}: expected values nested a few deep, found thousands", hint)
    if not isinstance(error, msgspec.ValidationError):
        return UserError(f"{name}: expected JSON, found something else ({error})", hint)
    words, _, place = str(error).partition(" - at `")
    where = place.removesuffix("`").removeprefix("$").removeprefix(".")
    words = words[:1].lower() + words[1:].replace(", got ", ", found ")
    return UserError(f"{name}: {f'{where}: ' if where else ''}{words}"[:500], hint)
