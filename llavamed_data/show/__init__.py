"""Looking at a dataset: rows in the terminal, pages in a browser."""
