"""The book: notebooks, guides and the library as pages."""
