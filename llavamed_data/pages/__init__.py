"""What the pages of both packages share: how they are served, how they look, and the notice that they show.

Gradio is imported when a page is made, and not before: it is in the extra `pages`.
"""

from llavamed_data.pages.serving import (
    LOCAL_HOST,
    PASSWORD,
    PageServer,
    check_host,
    import_gradio,
    new_page,
    serve,
)
from llavamed_data.pages.theme import RESEARCH_ONLY, page_style, page_theme

__all__ = [
    "LOCAL_HOST",
    "PASSWORD",
    "RESEARCH_ONLY",
    "PageServer",
    "check_host",
    "import_gradio",
    "new_page",
    "page_style",
    "page_theme",
    "serve",
]
