"""`train` as a whole: arguments, data, run log, model card, push."""
