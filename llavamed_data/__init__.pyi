from .commands import build as build
from .commands import clean as clean
from .commands import estimate as estimate
from .commands import export as export
from .commands import extract as extract
from .commands import import_ as import_
from .commands import publish as publish
from .commands import show as show
from .commands import stats as stats
from .commands import update as update
from .commands import validate as validate
from .pipeline.builds.options import BuildOptions as BuildOptions
from .pipeline.builds.pairs import extract_to_file as extract_to_file
from .version import __version__ as __version__

__all__ = [
    "BuildOptions",
    "__version__",
    "build",
    "clean",
    "estimate",
    "export",
    "extract",
    "extract_to_file",
    "import_",
    "publish",
    "show",
    "stats",
    "update",
    "validate",
]
