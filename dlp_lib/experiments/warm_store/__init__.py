"""A warm store: what notebooks need of a store, packed on one machine and loaded on others.

Each module has a command of its own, and packages of its own that it needs.
"""
