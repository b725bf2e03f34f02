"""CT-like phantoms of the trunk: chest and upper abdomen, axial."""

import numpy as np
from PIL import Image

from tests.sample_corpus.canvas import Blob, Field, Scene, arrow, edge

CHEST = (  # over the heart: contrast in its chambers, the aorta, the oesophagus
    Blob(0.80, (0.28, -0.13), (0.17, 0.14), turn=0.4, soft=0.03),
    Blob(0.80, (0.03, -0.22), (0.14, 0.12), turn=0.4, soft=0.03),
    Blob(0.80, (0.08, 0.08), (0.18, 0.08), turn=0.4, soft=0.03),
    Blob(0.84, (0.17, 0.32), (0.105, 0.105)),
    Blob(0.05, (-0.02, 0.20), (0.05, 0.045)),
)
STERNUM = Blob(0.95, (0, -0.70), (0.16, 0.045), power=3)
HEPATIC_VEINS = (
    Blob(0.72, (-0.42, -0.12), (0.13, 0.024), turn=0.7),
    Blob(0.72, (-0.58, 0.02), (0.13, 0.024), turn=0.1),
    Blob(0.72, (-0.28, -0.30), (0.13, 0.024), turn=-0.5),
)
RETROPERITONEUM = (  # pancreas, kidneys (cortex, medulla, pelvis), aorta, cava, psoas
    Blob(0.50, (0.18, -0.01), (0.30, 0.065), turn=-0.25, soft=0.02),
    Blob(0.80, (0.43, 0.29), (0.15, 0.19), turn=0.5, paired=True),
    Blob(0.60, (0.43, 0.29), (0.09, 0.125), turn=0.5, soft=0.03, paired=True),
    Blob(0.22, (0.35, 0.27), (0.055, 0.05), paired=True),
    Blob(0.88, (0.06, 0.19), (0.085, 0.08)),
    Blob(0.66, (-0.15, 0.17), (0.10, 0.065)),
    Blob(0.48, (0.21, 0.40), (0.10, 0.12), paired=True),
)
FINDINGS = {
    "none": (),
    "nodule": (Blob(0.62, (-0.66, -0.08), (0.095, 0.085), turn=0.5, soft=0.02),),
    "lymph node": (Blob(0.50, (-0.15, -0.30), (0.13, 0.10), soft=0.015),),
    "emboli": (Blob(0.30, (0.0, -0.22), (0.075, 0.035), turn=0.5),),
    "dissection": (Blob(0.84, (0.18, 0.33), (0.15, 0.14)),),
    "effusion": (),
    "consolidation": (),
    "liver lesion": (
        Blob(0.40, (-0.66, -0.24), (0.14, 0.13), soft=0.03),
        Blob(0.30, (-0.66, -0.24), (0.07, 0.06), soft=0.03),
    ),
    "kidney mass": (),
    "cyst": (Blob(0.28, (-0.58, 0.33), (0.13, 0.12)),),
    "aneurysm": (Blob(0.48, (0.06, 0.14), (0.22, 0.20)), Blob(0.90, (0.08, 0.16), (0.12, 0.11))),
}


def ct_chest(
    seed: int, finding: str = "none", size: tuple[int, int] = (432, 332), mark: bool = False
) -> Image.Image:
    """Contrast-enhanced chest with one of `FINDINGS` (none to consolidation); `mark` points at the nodule."""
    scene = Scene(seed, size)
    _trunk(scene, (1.20, 0.84))
    lungs = _lungs(scene)
    scene.paint(CHEST)
    _spine(scene, 0.53)
    _ribs(scene, (1.03, 0.70))
    scene.paint((STERNUM, *FINDINGS[finding]))
    if finding == "effusion":
        level = scene.y - 0.30 + 0.25 * (scene.x + 0.56) ** 2
        scene.lay(0.40, lungs * (scene.x < 0) * edge(level, 0.02))
    elif finding == "consolidation":
        patch = np.exp(-(scene.radius(-0.62, 0.26, 0.26, 0.24) ** 4)) * lungs
        scene.lay(0.5 + 0.08 * scene.noise(5), 0.9 * patch)
    elif finding == "dissection":
        flap = np.exp(-(((scene.x - 0.17 - 0.5 * (scene.y - 0.33) ** 2) / 0.012) ** 2))
        scene.lay(0.25, flap * scene.disc(0.18, 0.33, 0.14, 0.13))
    picture = scene.picture(0.010)
    if mark:
        arrow(picture, (size[0] / 2 - 0.72 * size[1] / 2, size[1] * 0.38), np.pi * 1.25, 255)
    return picture


def ct_abdomen(seed: int, finding: str = "none", size: tuple[int, int] = (432, 332)) -> Image.Image:
    """Contrast-enhanced upper abdomen with one of `FINDINGS` (none, liver lesion to aneurysm)."""
    scene = Scene(seed, size)
    _trunk(scene, (1.18, 0.82))
    inner = scene.disc(0, -0.04, 0.94, 0.60, power=2.4)
    scene.lay(0.20 + 0.015 * scene.noise(8), inner)
    right = scene.disc(-0.50, -0.13, 0.46, 0.44, turn=0.15, power=2.3)
    right = right * edge(0.16 - scene.x + 0.5 * (-scene.y - 0.3), 0.02)
    left = scene.disc(-0.05, -0.36, 0.34, 0.19, turn=0.1)
    scene.lay(0.56 + 0.02 * scene.noise(3), np.maximum(right, left) * inner)
    scene.paint(HEPATIC_VEINS)
    scene.lay(0.52, scene.disc(0.44, -0.29, 0.30, 0.21, turn=0.35))
    air_above_fluid = np.where(scene.y < -0.33, 0.02, 0.36)
    scene.lay(air_above_fluid, scene.disc(0.44, -0.29, 0.27, 0.18, turn=0.35))
    scene.lay(0.58 + 0.02 * scene.noise(3), scene.disc(0.78, 0.12, 0.14, 0.29, turn=-0.25))
    scene.paint(RETROPERITONEUM)
    _spine(scene, 0.42)
    _ribs(scene, (1.02, 0.68))
    scene.paint(FINDINGS[finding])
    if finding == "kidney mass":
        scene.lay(0.66 + 0.08 * scene.noise(6), scene.disc(0.55, 0.37, 0.17, 0.15))
    return scene.picture(0.010)


def _trunk(scene: Scene, radii: tuple[float, float]) -> None:
    """The table, subcutaneous fat and the muscular wall."""
    table = np.exp(-(((scene.y - 0.95 + 0.10 * scene.x**2) / 0.014) ** 2))
    scene.lay(0.35, table * edge(1.05 - np.abs(scene.x), 0.03))
    scene.lay(0.20, scene.disc(0, 0, *radii, power=2.3))
    wall = scene.disc(0, 0, radii[0] - 0.10, radii[1] - 0.09, power=2.4)
    scene.lay(0.46 + 0.02 * scene.noise(4), wall)


def _lungs(scene: Scene) -> Field:
    """Draws lungs with vessels, mediastinum and heart; returns the mask of the lungs."""
    right, left = (scene.disc(side * 0.56, 0.03, 0.40, 0.59, turn=side * 0.22, power=2.3) for side in (-1, 1))
    middle = scene.disc(0.02, -0.06, 0.27, 0.52, power=2.6)
    heart = scene.disc(0.17, -0.13, 0.36, 0.29, turn=0.45)
    lungs = np.maximum(right, left) * (1 - np.maximum(middle, heart))
    vessels = np.clip(scene.noise(2.4) - 1.25, 0, 1.6) * (1 - 0.5 * edge(np.abs(scene.x) - 0.62, 0.2))
    scene.lay(0.05 + 0.55 * vessels, lungs)
    scene.lay(0.36, middle * (1 - heart))
    scene.lay(0.55, heart)
    return np.asarray(lungs)


def _spine(scene: Scene, top: float) -> None:
    scene.paint(
        (
            Blob(0.86, (0, top), (0.15, 0.12)),
            Blob(0.70, (0, top), (0.115, 0.09), soft=0.02),
            Blob(0.90, (0.15, top + 0.15), (0.13, 0.032), turn=0.35, paired=True),
            Blob(0.90, (0, top + 0.22), (0.035, 0.10)),
            Blob(0.38, (0, top + 0.145), (0.062, 0.05)),
        )
    )


def _ribs(scene: Scene, radii: tuple[float, float]) -> None:
    for angle in (-0.85, -0.35, 0.15, 0.62, 1.0):
        spot = (radii[0] * np.cos(angle), radii[1] * np.sin(angle))
        turn = np.pi / 2 + angle * 0.8
        cortex = Blob(0.95, spot, (0.095, 0.032), turn=turn, paired=True)
        marrow = Blob(0.62, spot, (0.060, 0.012), turn=turn, paired=True)
        scene.paint((cortex, marrow))
