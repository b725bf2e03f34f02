"""LLaVA-Med's curriculum on TRL: assemble a model, plan, train, predict, score.

The public names are listed with their types in `__init__.pyi`. Each is imported when it is first used, so that the
command line's help need not wait for torch.
"""

import llavamed_data  # noqa: F401, I001  (comes first: from then on Ctrl-C is one line)
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
