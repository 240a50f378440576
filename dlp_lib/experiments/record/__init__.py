"""Recorded tables: what took hours to measure, as small JSON files under data/recorded.

Notebooks show them beside their own results. ``python -m dlp_lib record NAME`` measures one again.
"""

from .files import FOLDER, paper, read, read_made, write
from .summary import per_cent, runs, spread
