"""Conversations from the text of figures: prompts, parsing, cleaning, quality, judge and references (section 3)."""
