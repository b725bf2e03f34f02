"""Conversations about figures, written from their text (section 3 of the paper): what is asked and what is kept.

`generation` opens what a recipe needs. A generator (`llm_generator`, `offline_generator`) turns pairs into
conversations: `prompts` says what is asked, `rounds` reads the answer, `cleaning` and `quality` decide what is kept.
Beside it stand the `judge` of conversations, the `references` of the evaluation set, and the `estimate` of costs.

The public names stand in `__init__.pyi`, and each is imported when it is first used: who needs the cleaning rules alone
does not wait for the rest.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
