"""Draws the bundled corpus: its figures, and the files that the bucket keeps beside each article."""
