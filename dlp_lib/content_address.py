"""Where a result is stored: under the fingerprint of everything that decides it."""

import warnings

from .fingerprint import CannotFingerprint, fingerprint, neutral
from .store import Store


@neutral
def content_address(
    store: Store, prefix: str, *parts: object, stacklevel: int = 3
) -> tuple[Store, str]:
    """Return the store and the name under which a result of these parts is kept.

    What has no fingerprint must be computed every time. In that case a warning says why, and the
    store that is returned is an empty one in memory.

    Args:
        store: where the result should be kept.
        prefix: how the name begins, such as "LCA".
        parts: the function that computes, and its inputs.
        stacklevel: how many calls above this one the warning points at; 1 is the caller, 3 the
            caller of a stage or of an attack.
    """
    try:
        return store, f"{prefix}-{fingerprint(*parts)}"
    except CannotFingerprint as reason:
        warnings.warn(f"{prefix} is not stored, as {reason}", stacklevel=stacklevel + 1)
        return Store(), prefix
