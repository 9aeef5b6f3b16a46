"""Which level of the Hamming kernel this machine has; asked without NumPy, so that the doctor starts at once."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

NUMBERS = {"plain": 0, "avx2": 1, "avx512": 2, "neon": 3}


@lru_cache(maxsize=1)
def extension() -> ModuleType | None:
    """Give the compiled module, or None where the package was built without a compiler."""
    try:
        from crossbit.codes import _hamming  # type: ignore[attr-defined]
    except ImportError:
        return None
    found: ModuleType = _hamming
    return found


def levels() -> tuple[str, ...]:
    """Name the levels of this machine, the fastest first; "numpy" is always there."""
    built = extension()
    if built is None:
        return ("numpy",)
    best = next(name for name, number in NUMBERS.items() if number == built.level())
    below = ("avx2",) if best == "avx512" else ()
    return (best, *below, *(() if best == "plain" else ("plain",)), "numpy")
