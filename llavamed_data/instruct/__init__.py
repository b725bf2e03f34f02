"""Conversations from the text of figures: prompts, LLM back ends, parsing, cleaning, cost (section 3)."""
