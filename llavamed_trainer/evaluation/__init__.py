"""Evaluation: questions and answers, predictions, scores, the judge, the paper's tables and its grid of runs."""
