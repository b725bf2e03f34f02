"""The bundled corpus: synthetic articles in the layout of the PMC bucket, read by the code that reads it."""

from importlib import resources
from pathlib import Path

__all__ = ["corpus_path"]


def corpus_path() -> Path:
    """Returns the folder that corresponds to the root of the bucket: `PMC9000001.1/` and so on lie directly in it.

    Raises:
        FileNotFoundError: the package is installed in a form that holds no plain files, as in a zip archive.
    """
    path = Path(str(resources.files(__name__) / "corpus"))
    if not path.is_dir():
        raise FileNotFoundError(f"the bundled corpus is not a folder on disk: {path.name}")
    return path
