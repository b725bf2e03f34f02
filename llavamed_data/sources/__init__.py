"""Where articles, figures and finished rows come from."""
