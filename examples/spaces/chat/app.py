"""A Hugging Face Space to talk with a model; README.md beside this file lists its settings.

The same on one's own machine:

    LLAVAMED_MODEL=models/tiny LLAVAMED_DATASET=llava-med/60k-im python examples/spaces/chat/app.py
"""

import os
import sys

from llavamed_trainer.chat import Assistant, LocalAssistant, ServerAssistant
from llavamed_trainer.chat.examples import examples_of
from llavamed_trainer.chat.page import serve_chat

model, against = os.environ.get("LLAVAMED_MODEL"), os.environ.get("LLAVAMED_AGAINST")
address, dataset = os.environ.get("LLAVAMED_BASE_URL"), os.environ.get("LLAVAMED_DATASET")
if not model:
    sys.exit("set LLAVAMED_MODEL to the model, ORG/NAME")

examples = examples_of(dataset) if dataset else []
assistants: list[Assistant] = [ServerAssistant(model, address) if address else LocalAssistant(model)]
if against:
    assistants.append(LocalAssistant(against))

# a Space reaches the page at this port, from outside of the container
host, port = ("0.0.0.0", 7860) if "SPACE_ID" in os.environ else ("127.0.0.1", 0)  # noqa: S104
server = serve_chat(assistants, examples=examples, host=host, port=port)
print(f"{server.address} talks with {' and '.join(each.name for each in assistants)}", flush=True)
server.wait()
