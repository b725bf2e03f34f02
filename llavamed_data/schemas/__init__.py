"""One JSON Schema (draft 2020-12) a published set kind; everything else about its columns is derived from it.

A row is checked by `validator`; `features` and `arrow_schema` are what its columns are to `datasets` and
to Arrow. Importing this package does not import `datasets`.
"""

from llavamed_data.schemas.derived import arrow_schema, features
from llavamed_data.schemas.schema import KINDS, columns, kind_of, load_schema, validator

__all__ = ["KINDS", "arrow_schema", "columns", "features", "kind_of", "load_schema", "validator"]
