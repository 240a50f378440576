"""Answers to the notebooks' exercises, checked: one file a notebook, one function an exercise.

A check takes a student's answer. It prints what is worth noticing, or raises Wrong, which says what is wrong.
"""

from .base import Wrong
