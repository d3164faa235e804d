"""The one error that users are meant to see."""

from dataclasses import fields, replace
from typing import Any, NoReturn, TypeVar

Config = TypeVar("Config")


class UserError(Exception):
    """Something the user can mend: what is wrong, and what to do about it.

    The command line prints `message` and `hint` and exits with code 2; the Python API raises it.
    A message says what was expected and what was found.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\n{hint}" if hint else message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type["UserError"], tuple[str, str]]:
        return UserError, (self.message, self.hint)


def expected(what: str, wanted: object, found: object, hint: str = "") -> NoReturn:
    """Raise a `UserError` in the house form: `what: expected …, found …`."""
    raise UserError(f"{what}: expected {wanted}, found {found}", hint)


def override(config: Config, options: dict[str, Any]) -> Config:
    """The dataclass `config` with other values; raises UserError for options that it does not have."""
    try:
        return replace(config, **options)  # type: ignore[type-var]
    except TypeError:
        known = [field.name for field in fields(config)]  # type: ignore[arg-type]
        unknown = ", ".join(sorted(set(options) - set(known)))
        raise UserError(f"unknown option {unknown}", f"Known options: {', '.join(known)}.") from None
