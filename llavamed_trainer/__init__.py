"""LLaVA-Med's training curriculum on TRL. The package is laid out; the trainer itself is not here yet."""
