"""Characters by the names that the JATS DTD has for them: those of HTML, and the Greek letters of ISO 8879."""

from html.entities import html5

_SMALL_GREEK = (
    "agr α, bgr β, ggr γ, dgr δ, egr ε, zgr ζ, eegr η, thgr θ, igr ι, kgr κ, lgr λ, mgr μ, ngr ν, xgr ξ, ogr ο, pgr π, "
    "rgr ρ, sgr σ, tgr τ, ugr υ, phgr φ, khgr χ, psgr ψ, ohgr ω, aacgr ά, eacgr έ, eeacgr ή, iacgr ί, oacgr ό, "
    "uacgr ύ, ohacgr ώ, idigr ϊ, udigr ϋ"
)
"""Names of ISOgrk1 and ISOgrk2; their first letters are capitals in the names of capital letters."""

_OTHERS = (
    "sfgr ς, idiagr ΐ, udiagr ΰ, epsis ε, thetas θ, phis φ, EEgr Η, THgr Θ, PHgr Φ, KHgr Χ, PSgr Ψ, OHgr Ω, EEacgr Ή, "
    "OHacgr Ώ"
)
_BOLD = "b."
"""Begins the names of ISOgrk4, bold letters for formulae."""


def character_of(name: str) -> str:
    """Returns the character, or the few, that an entity stands for; "" if its name is unknown.

    >>> character_of("agr"), character_of("OHgr"), character_of("b.alpha"), character_of("nbsp")
    ('α', 'Ω', 'α', '\\xa0')
    """
    return (
        html5.get(f"{name};")
        or _GREEK.get(name)
        or (character_of(name[2:]) if name.startswith(_BOLD) else "")
    )


def _named(table: str) -> dict[str, str]:
    names = table.replace(",", "").split()
    return dict(zip(names[::2], names[1::2], strict=True))


_GREEK = _named(_SMALL_GREEK)
_GREEK |= {name.capitalize(): letter.upper() for name, letter in _GREEK.items()} | _named(_OTHERS)
