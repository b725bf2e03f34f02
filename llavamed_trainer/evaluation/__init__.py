"""Evaluation: predictions, their scores, the judge, the paper's tables and its grid of runs."""
