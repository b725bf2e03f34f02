"""What superscripts and subscripts say in captions and mentions."""

import pytest

from llavamed_data.figures import domain_of
from tests.llavamed_data.jats.documents import caption_of, mentions


def cite(number: int) -> str:
    return f'<xref ref-type="bibr" rid="B{number}">{number}</xref>'


def raised(number: int) -> str:
    return f'<xref ref-type="bibr" rid="B{number}"><sup>{number}</sup></xref>'


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("4 × 10<sup>14</sup> cells", "4 × 10¹⁴ cells"),
        ("10<sup>−3</sup>, s<sup>-1</sup>, h<sup>–2</sup>", "10⁻³, s⁻¹, h⁻²"),
        ("10<sup>2.5</sup> and 10<sup>-0.5</sup>", "10^2.5 and 10^−0.5"),
        ("10<sup>6–8</sup>", "10⁶⁻⁸"),
        ("10<sup>n</sup>", "10ⁿ"),
        ("Q<sup>1/2</sup>, e<sup>−kt</sup>", "Q^(1/2), e^−kt"),
        ("10<sup><italic>7</italic></sup>", "10⁷"),
        ("10<sup> 7 </sup>cells", "10⁷ cells"),
        ("10<sup>‐3</sup>, 10<sup>‑3</sup>, 10<sup>—3</sup>, 10<sup>‒3</sup>", "10⁻³, 10⁻³, 10⁻³, 10⁻³"),
        ("10<sup>− 3</sup>, 10<sup>‐0.5</sup>, x<sub>‐1</sub>", "10⁻³, 10^−0.5, x₋₁"),
        ("Ca<sup>2+</sup>, Cl<sup>-</sup>, CD4<sup>+</sup>", "Ca²⁺, Cl⁻, CD4⁺"),
        ("Rag1<sup>−/−</sup>, Rag1<sup>+/-</sup>", "Rag1⁻/⁻, Rag1⁺/⁻"),
        ("<sup>18</sup>F, <sup>99m</sup>Tc, <sup>1</sup>H,<sup>13</sup>C", "¹⁸F, ⁹⁹ᵐTc, ¹H,¹³C"),
        ("the 1<sup>st</sup>, Brand<sup>®</sup>, Brand<sup>TM</sup>", "the 1st, Brand®, BrandTM"),
        ("p27<sup>Kip1</sup>, <sup>*</sup>p, x<sup>′</sup>", "p27Kip1, *p, x′"),
        ("5 mm.<sup>3</sup> of it", "5 mm.³ of it"),
        ('value<xref ref-type="fn" rid="n1"><sup>1</sup></xref>', "value¹"),
        (f"4 × 10<sup>{cite(6)}</sup> and ×10{raised(5)} cells", "4 × 10⁶ and ×10⁵ cells"),
        ("H<sub>2</sub>O, CO<sub>2</sub>, log<sub>10</sub>", "H₂O, CO₂, log₁₀"),
        ("V<sub>max</sub>, x<sub>i</sub>, PM<sub>2.5</sub>, T<sub>1/2</sub>", "Vmax, xi, PM2.5, T1/2"),
        ("x<sub>i+1</sub>, 7<sub>0.5</sub>, n<sub>0,−</sub>", "x_(i+1), 7_0.5, n₀,₋"),
    ],
)
def test_powers_indices_and_signs_stay_what_they_are(markup: str, text: str) -> None:
    assert caption_of(f"<p>{markup}</p>") == text
    assert mentions(f"{markup} in Fig. 1.") == {"1": (f"{text} in Fig. 1.",)}


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        (f"known<sup>{cite(3)}</sup>.", "known."),
        (f"known<sup>{cite(3)},{cite(4)}–{cite(7)}</sup>.", "known."),
        (f"known<sup>[{cite(3)}]</sup>.", "known."),
        (f"known{raised(3)}.", "known."),
        (f"known{raised(3)},{raised(4)}–{raised(7)}, too.", "known, too."),
        (f"known{raised(3)}<sup>,</sup>{raised(4)}.", "known."),
        (f"known<sup>{cite(3)}</sup><sup>,</sup><sup>{cite(4)}</sup>.", "known."),
        (f"known<sup>[</sup>{raised(3)}<sup>]</sup>.", "known."),
        (f"known <sup>{cite(3)}</sup>.", "known."),
        ("It is known.<sup>12</sup> So", "It is known. So"),
        ("known,<sup>12–14</sup> so", "known, so"),
        ("known<sup>12,13</sup> and", "known and"),
        # a sentence that names it cannot do without
        (f"as in ref. <sup>{cite(3)}</sup>.", "as in ref. [3]."),
        (f"as in {raised(3)}.", "as in [3]."),
        # what is not raised stays
        (f"known [{cite(3)}].", "known [3]."),
    ],
)  # fmt: skip
def test_a_citation_in_superscript_is_left_out(markup: str, text: str) -> None:
    assert caption_of(f"<p>{markup}</p>") == text


def math(markup: str) -> str:
    return (
        f"<p><mml:math>{markup}</mml:math></p>".replace("<m", "<mml:m")
        .replace("</m", "</mml:m")
        .replace("mml:mml:", "mml:")
    )


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        (math("<msup><mn>10</mn><mrow><mo>−</mo><mn>5</mn></mrow></msup>"), "10⁻⁵"),
        (math("<msup><mi>x</mi><mi>n</mi></msup>"), "xⁿ"),
        (math("<msup><mi>e</mi><mrow><mo>−</mo><mi>k</mi><mi>t</mi></mrow></msup>"), "e^−kt"),
        (math("<msub><mi>x</mi><mrow><mi>i</mi><mo>+</mo><mn>1</mn></mrow></msub>"), "x_(i+1)"),
        (math("<msubsup><mi>σ</mi><mn>1</mn><mn>2</mn></msubsup>"), "σ₁²"),
        (
            math("<mmultiscripts><mi>C</mi><mn>2</mn><mo>+</mo><mprescripts/><mn>6</mn><mn>14</mn></mmultiscripts>"),
            "₆¹⁴C₂⁺",
        ),
        (r"<p><tex-math>$10^{5}$</tex-math></p>", "10⁵"),
        (r"<p><tex-math>$R^2 = 0.9$</tex-math></p>", "R² = 0.9"),
        (r"<p><tex-math>\(10^{-6}\) and \[x_1\]</tex-math></p>", "10⁻⁶ and x₁"),
        (r"<p><tex-math>$10^{\mathrm{-3}}\,\mathrm{m}^{2}$</tex-math></p>", "10⁻³ m²"),
        (r"<p><tex-math>$e^{-\frac{t}{2}} + x_{i+1} + a_{i_{2}}$</tex-math></p>", "e^(−t/2) + x_(i+1) + ai₂"),
    ],
)  # fmt: skip
def test_powers_and_indices_of_formulae(markup: str, text: str) -> None:
    assert caption_of(markup) == text


def test_an_index_does_not_hide_what_the_image_is() -> None:
    caption = caption_of("<p>Sagittal T<sub>2</sub>-weighted image of the spine.</p>")
    assert caption == "Sagittal T₂-weighted image of the spine."
    assert domain_of(caption) == "mri"
