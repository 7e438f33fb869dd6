"""How many examples a property is tried with."""

from hypothesis import settings


def examples(full: int) -> int:
    """``full`` in a whole run; in `make check` (profile "check") the same part of it as of all other properties."""
    default = settings.default
    assert default is not None
    return max(1, full * min(100, default.max_examples) // 100)
