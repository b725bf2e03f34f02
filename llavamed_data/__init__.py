"""From PubMed Central articles, or the released LLaVA-Med files, to Hugging Face datasets."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from llavamed_data.pipeline.builds.build import build
    from llavamed_data.pipeline.builds.options import BuildOptions
    from llavamed_data.pipeline.builds.pairs import extract_to_file
    from llavamed_data.validation import validate

__all__ = ["BuildOptions", "__version__", "build", "extract_to_file", "validate"]

_HOMES = {
    "build": "llavamed_data.pipeline.builds.build",
    "BuildOptions": "llavamed_data.pipeline.builds.options",
    "extract_to_file": "llavamed_data.pipeline.builds.pairs",
    "validate": "llavamed_data.validation",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: the command line's help need not wait for all of them."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
