"""From PubMed Central articles, or the released LLaVA-Med files, to Hugging Face datasets."""

__version__ = "0.1.0"
