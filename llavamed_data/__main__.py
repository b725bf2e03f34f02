"""`python -m llavamed_data`."""

import os

# Arrow's own allocators keep for good what a row group needed, malloc gives it back; read when Arrow is imported.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

from llavamed_data.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
