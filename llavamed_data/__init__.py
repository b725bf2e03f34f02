"""From PubMed Central articles, or the released LLaVA-Med files, to Hugging Face datasets.

The public names are listed with their types in `__init__.pyi`. Each is imported when it is first used, so that the
command line's help need not wait for all of them.
"""

import lazy_loader

from llavamed_data.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
