"""What all sections of config.toml have in common, and the fields that several of them use."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A section of config.toml. A field's description says what is allowed; errors quote it.

    A field with `repr=False` is a secret: errors and listings do not show its value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True)

    def shown(self, name: str) -> Any:
        """A setting's value as it may be shown."""
        return getattr(self, name)


def whole_number(default: int, low: int, high: int) -> Any:
    """A whole number from `low` to `high`."""
    return Field(default=default, ge=low, le=high, description=f"a whole number from {low} to {high}")


def seconds(default: float, high: float) -> Any:
    """A number of seconds above 0 and up to `high`."""
    allowed = f"a number of seconds above 0 and up to {high:g}"
    return Field(default=default, gt=0, le=high, allow_inf_nan=False, description=allowed)
