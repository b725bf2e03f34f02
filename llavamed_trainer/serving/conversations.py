"""What a server makes of a conversation: the chat template that it finds, and the token at which it stops."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from llavamed_data.errors import UsageError, one_line
from llavamed_trainer.collate.rendering import PROBE, Renderer
from llavamed_trainer.models.stopping import stop_ids
from llavamed_trainer.serving.files import read_json
from llavamed_trainer.serving.report import ServingCheck

TEMPLATE = "the chat template renders a conversation, and a prompt that is its beginning"
TEMPLATE_FILE = "the chat template lies where vLLM and llama.cpp read it"
END = "the chat template ends answers with a token of its own, which is learnt"
STOP = "generation_config.json stops at the end of an answer (transformers, vLLM)"
LLAMA_CPP_STOP = "llama.cpp stops at the end of an answer"

_ANOTHER = (
    "train with --template FILE, or set processor.chat_template and save the processor with save_pretrained"
)


def check_template(processor: Any) -> ServingCheck:
    """Checks that the chat template renders a question with an image, and the same question with its answer."""
    template = processor.chat_template or processor.tokenizer.chat_template
    if not template:
        return ServingCheck(TEMPLATE, "wrong", "there is no chat template", _ANOTHER)
    try:
        prompt, whole = (
            str(processor.apply_chat_template(turns, add_generation_prompt=asks, tokenize=False))
            for turns, asks in ((PROBE[:1], True), (PROBE[:2], False))
        )
    except Exception as error:  # the template raises what it likes
        return ServingCheck(TEMPLATE, "wrong", f"it cannot be rendered: {one_line(error, 120)}", _ANOTHER)
    token = getattr(processor, "image_token", None)
    if token and token not in prompt:
        return ServingCheck(
            TEMPLATE, "wrong", f"it writes no {token} where the conversation has an image", _ANOTHER
        )
    lost = [text for text in ("What is it?", "A cyst.") if text not in whole]
    if lost:
        return ServingCheck(TEMPLATE, "wrong", f"it leaves out what is said ({lost[0]!r})", _ANOTHER)
    if not whole.startswith(prompt):
        finding = f"the prompt ends in {prompt[-20:]!r}, which does not begin an answer that is learnt"
        return ServingCheck(TEMPLATE, "wrong", finding, _ANOTHER)
    return ServingCheck(TEMPLATE, "ok", f"the prompt ends in {prompt[-20:]!r}")


def check_template_file(folder: Path, processor: Any) -> ServingCheck:
    """Checks that the template that llama.cpp's converter takes is the one that the processor has, which vLLM takes."""
    way_out = (
        "save the processor with stock transformers: AutoProcessor.from_pretrained(…).save_pretrained(…)"
    )
    # the order in which llama.cpp's converter looks
    in_tokenizer = read_json(folder / "tokenizer_config.json").get("chat_template")
    jinja = folder / "chat_template.jinja"
    places = {
        "tokenizer_config.json": in_tokenizer,
        "chat_template.jinja": jinja.read_text(encoding="utf-8") if jinja.is_file() else None,
        "chat_template.json": read_json(folder / "chat_template.json").get("chat_template"),
    }
    found = {place: text for place, text in places.items() if text}
    if not found:
        return ServingCheck(TEMPLATE_FILE, "wrong", "chat_template.jinja is missing", way_out)
    if not isinstance(processor.chat_template, str):
        return ServingCheck(
            TEMPLATE_FILE, "not tried", "the processor has several templates, or none of its own"
        )
    place, text = next(iter(found.items()))
    if text != processor.chat_template:
        finding = f"llama.cpp takes another template, from {place}, than transformers and vLLM"
        return ServingCheck(TEMPLATE_FILE, "wrong", finding, f"remove it from {place}, or {way_out}")
    return ServingCheck(TEMPLATE_FILE, "ok", place)


def check_stops(
    processor: Any, generation_config: Mapping[str, Any], llama_cpp_ends: Collection[str] | None
) -> list[ServingCheck]:
    """Checks that an answer's end is a token that is learnt, and that servers stop there.

    Args:
        processor: of the model.
        generation_config: what generation_config.json states; nothing if there is no such file.
        llama_cpp_ends: tokens at which llama.cpp always stops; None if it does not load the model.
    """
    tokenizer = processor.tokenizer
    try:
        ends = Renderer(processor).end_ids
        fault = "" if ends else "the template takes none of the conversations that were tried"
    except UsageError as error:
        ends, fault = frozenset(), str(error)
    if not ends:
        finding, _, way_out = fault.partition(": ")
        why = "what ends an answer is not known"
        return [
            ServingCheck(END, "wrong", finding, way_out or _ANOTHER),
            ServingCheck(STOP, "not tried", why),
        ]
    names = " and ".join(tokenizer.convert_ids_to_tokens(sorted(ends)))
    checks = [ServingCheck(END, "ok", names)]
    stated = stop_ids(generation_config.get("eos_token_id"))
    listed = sorted(stated | ends)
    if ends <= stated:
        checks.append(ServingCheck(STOP, "ok", f"eos_token_id {', '.join(map(str, sorted(stated)))}"))
    else:
        what = _stated_stops(stated) if generation_config else "there is no generation_config.json"
        way_out = (
            f'state "eos_token_id": {listed if len(listed) > 1 else listed[0]} in generation_config.json'
        )
        checks.append(ServingCheck(STOP, "wrong", f"{what}, and answers end with {names}", way_out))
    if llama_cpp_ends is not None:
        known = {*llama_cpp_ends, tokenizer.eos_token}
        strange = [each for each in tokenizer.convert_ids_to_tokens(sorted(ends)) if each not in known]
        checks.append(
            ServingCheck(
                LLAMA_CPP_STOP,
                "wrong",
                f"it does not know {strange[0]}, and the tokenizer's eos_token is {tokenizer.eos_token}",
                f"make {strange[0]} the eos_token of the tokenizer and save the processor",
            )
            if strange
            else ServingCheck(LLAMA_CPP_STOP, "ok", names)
        )
    return checks


def _stated_stops(stated: Collection[int]) -> str:
    if not stated:
        return "it states no eos_token_id"
    return f"it states eos_token_id {', '.join(map(str, sorted(stated)))}"
