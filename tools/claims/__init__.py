"""Claims: what the notebooks' prose says of their figures, in a form that a test evaluates.

tests/notebooks/claims.yaml holds them. A claim says whose value it speaks of (``of``: a path into
the metrics of a committed run, or rows of a recorded table), what is said of it (``is``), and why.
The prose names each claim in a comment, ``<!-- claim: 03-blended-late -->``.
"""

from .claim import Claim, ClaimError, read_claims
from .prose import unclaimed
from .sources import FOLDER, Sources

__all__ = ["FOLDER", "Claim", "ClaimError", "Sources", "read_claims", "unclaimed"]
