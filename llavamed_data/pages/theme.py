"""The look of the pages: light and dark, with every text at a contrast of 4.5 or more against what is behind it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gradio

RESEARCH_ONLY = (
    "For research only, not for clinical care. Texts and answers may be wrong even where they sound certain: check "
    "them, and take them as a first draft that an expert revises."
)
"""The notice that every page shows, after section B.1 of the paper (reliability)."""

_FONTS = ("ui-sans-serif", "system-ui", "-apple-system", "Noto Sans", "Noto Sans CJK SC", "sans-serif")
_MONO = ("ui-monospace", "Consolas", "DejaVu Sans Mono", "monospace")

_BACKGROUND, _TEXT, _SUBDUED_TEXT, _BORDER = "#ffffff", "#1b1f24", "#4a525c", "#7d8590"
_DARK_BACKGROUND, _DARK_TEXT, _DARK_SUBDUED_TEXT, _DARK_BORDER = "#14171b", "#e8ebef", "#b3bac4", "#7d8590"

_ACCENT, _DARK_ACCENT = "#0b5cad", "#6cb2f5"

_COLOURS: dict[str, tuple[str, str]] = {
    "body_background_fill": ("#f4f6f8", "#0e1013"),
    "body_text_color": (_TEXT, _DARK_TEXT),
    "body_text_color_subdued": (_SUBDUED_TEXT, _DARK_SUBDUED_TEXT),
    "background_fill_primary": (_BACKGROUND, _DARK_BACKGROUND),
    "background_fill_secondary": ("#f4f6f8", "#1b1f24"),
    "border_color_primary": ("#c9d0d8", "#3a414a"),
    "border_color_accent": (_ACCENT, _DARK_ACCENT),
    "color_accent_soft": ("#e3effb", "#15304a"),
    "link_text_color": ("#0b5cad", "#8cc4fa"),
    "link_text_color_hover": ("#08447f", "#b5daff"),
    "link_text_color_visited": ("#0b5cad", "#8cc4fa"),
    "link_text_color_active": ("#08447f", "#b5daff"),
    "block_background_fill": (_BACKGROUND, _DARK_BACKGROUND),
    "block_border_color": ("#c9d0d8", "#3a414a"),
    "block_info_text_color": (_SUBDUED_TEXT, _DARK_SUBDUED_TEXT),
    "block_label_background_fill": (_BACKGROUND, _DARK_BACKGROUND),
    "block_label_text_color": (_TEXT, _DARK_TEXT),
    "block_title_text_color": (_TEXT, _DARK_TEXT),
    "accordion_text_color": (_TEXT, _DARK_TEXT),
    "table_text_color": (_TEXT, _DARK_TEXT),
    "code_background_fill": ("#eef1f4", "#23282f"),
    "input_background_fill": (_BACKGROUND, "#1b1f24"),
    "input_border_color": (_BORDER, _DARK_BORDER),
    "input_border_color_focus": (_ACCENT, _DARK_ACCENT),
    "input_placeholder_color": ("#5b636d", "#a3abb5"),
    "checkbox_background_color": (_BACKGROUND, "#1b1f24"),
    "checkbox_background_color_selected": ("#0b5cad", "#2f7fcb"),
    "checkbox_border_color": (_BORDER, _DARK_BORDER),
    "checkbox_label_background_fill": (_BACKGROUND, "#1b1f24"),
    "checkbox_label_background_fill_hover": ("#eef1f4", "#23282f"),
    "checkbox_label_background_fill_selected": ("#e3effb", "#15304a"),
    "checkbox_label_border_color": ("#c9d0d8", "#3a414a"),
    "checkbox_label_text_color": (_TEXT, _DARK_TEXT),
    "checkbox_label_text_color_selected": (_TEXT, _DARK_TEXT),
    "button_primary_background_fill": ("#0b5cad", "#8cc4fa"),
    "button_primary_background_fill_hover": ("#08447f", "#b5daff"),
    "button_primary_border_color": ("#0b5cad", "#8cc4fa"),
    "button_primary_text_color": ("#ffffff", "#0e1013"),
    "button_primary_text_color_hover": ("#ffffff", "#0e1013"),
    "button_secondary_background_fill": (_BACKGROUND, "#23282f"),
    "button_secondary_background_fill_hover": ("#e6eaee", "#303740"),
    "button_secondary_border_color": (_BORDER, _DARK_BORDER),
    "button_secondary_text_color": (_TEXT, _DARK_TEXT),
    "button_secondary_text_color_hover": (_TEXT, _DARK_TEXT),
    "button_cancel_background_fill": ("#a4201c", "#ffb4ae"),
    "button_cancel_background_fill_hover": ("#7d1512", "#ffd6d2"),
    "button_cancel_border_color": ("#a4201c", "#ffb4ae"),
    "button_cancel_text_color": ("#ffffff", "#0e1013"),
    "button_cancel_text_color_hover": ("#ffffff", "#0e1013"),
    "error_background_fill": ("#fdecea", "#3a1513"),
    "error_text_color": ("#8f1a16", "#ffb4ae"),
    "error_icon_color": ("#8f1a16", "#ffb4ae"),
    "error_border_color": ("#a4201c", "#ffb4ae"),
}
"""Variable of a Gradio theme → its colour on a light and on a dark page."""

_STYLE = f"""
.dark {{ --color-accent: {_DARK_ACCENT}; }}
.gradio-container {{ max-width: 1280px !important; }}
:focus-visible {{ outline: 3px solid var(--color-accent) !important; outline-offset: 1px; }}
.research-only {{ border-left: 4px solid var(--color-accent); padding: 4px 10px; font-size: 0.9rem; }}
.prose, .html-container {{ overflow-wrap: anywhere; }}
button {{ min-height: 40px; }}
.gradio-container > .main {{ padding-inline: clamp(6px, 2.5vw, 32px) !important; }}
@media (prefers-reduced-motion: reduce) {{ * {{ animation: none !important; transition: none !important; }} }}
"""


def page_theme() -> "gradio.themes.Base":
    """The theme of the pages, which loads no font from elsewhere."""
    import gradio

    theme = gradio.themes.Base(
        primary_hue="blue", neutral_hue="zinc", radius_size="sm", font=_FONTS, font_mono=_MONO
    )
    colours: dict[str, Any] = {name: light for name, (light, _) in _COLOURS.items()}
    colours |= {f"{name}_dark": dark for name, (_, dark) in _COLOURS.items()}
    theme.set(
        **colours,
        color_accent=_ACCENT,
        button_border_width="1px",
        input_border_width="1px",
        block_title_text_weight="600",
    )
    return theme


def page_style() -> str:
    """The CSS of every page beside the theme: where the focus is can be seen, and long words do not widen the page."""
    return _STYLE
