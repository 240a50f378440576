"""Checks of answers to the notebooks' exercises: one file a notebook, one function an exercise.

A check takes a student's answer. It prints what is worth noticing, or raises Wrong, which says
what is not right yet.
"""

from .base import Wrong
