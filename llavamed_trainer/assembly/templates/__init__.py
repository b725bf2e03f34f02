"""Chat templates, with the marks that say which tokens are the assistant's (`{% generation %}`)."""

from pathlib import Path

TEMPLATES = {
    path.stem: path.read_text(encoding="utf-8").rstrip("\n")
    for path in sorted(Path(__file__).parent.glob("*.jinja"))
}
"""Name → Jinja text. `vicuna_v1` is the form of LLaVA's `conv_vicuna_v1` (its file conversation.py), `mistral` that of
Mistral-7B-Instruct; LLaVA-Med's `conv_mistral_instruct` differs from it by a blank before each </s>."""
