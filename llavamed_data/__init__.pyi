from .pipeline.builds.build import build
from .pipeline.builds.options import BuildOptions
from .pipeline.builds.pairs import extract_to_file
from .pipeline.builds.update import update
from .validation import validate
from .version import __version__

__all__ = ["BuildOptions", "__version__", "build", "extract_to_file", "update", "validate"]
