"""What of a request was said: the rest is the controller's to fill in."""

from typing import Any


def given(**values: Any) -> dict[str, Any]:
    """Those that are not None: what is left out gets the controller's default."""
    return {name: value for name, value in values.items() if value is not None}
