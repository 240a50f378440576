"""Tools that work on the repository: notebooks for a class, stamps, the book, tables of claims."""
