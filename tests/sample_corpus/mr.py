"""MR-like phantoms beside the head: knee and lumbar spine, sagittal; upper abdomen, axial."""

import numpy as np
from PIL import Image

from tests.sample_corpus.canvas import Blob, Field, Scene, blur, disc, edge, label

ABDOMEN = (  # spleen, kidneys, aorta and cava without signal, gallbladder, vertebra, spinal fluid
    Blob(0.62, (0.77, 0.10), (0.15, 0.31), turn=-0.25),
    Blob(0.68, (0.42, 0.30), (0.14, 0.18), turn=0.5, paired=True),
    Blob(0.02, (0.07, 0.19), (0.08, 0.08)),
    Blob(0.04, (-0.16, 0.16), (0.10, 0.06)),
    Blob(0.97, (-0.20, -0.02), (0.11, 0.075), turn=0.5),
    Blob(0.36, (-0.02, 0.42), (0.17, 0.14)),
    Blob(0.96, (-0.02, 0.60), (0.085, 0.045)),
)
LIVER_FINDINGS = {
    "none": (),
    "cyst": (Blob(0.98, (-0.62, -0.20), (0.15, 0.14)),),
    "liver lesion": (
        Blob(0.80, (-0.60, -0.22), (0.15, 0.13), soft=0.03),
        Blob(0.55, (-0.60, -0.22), (0.06, 0.05), soft=0.03),
    ),
}


def mr_knee(seed: int, finding: str = "none", size: tuple[int, int] = (344, 400)) -> Image.Image:
    """Sagittal knee, the patella on the left; findings: none, effusion, meniscal tear."""
    scene = Scene(seed, size)
    x, y = scene.x, scene.y
    leg = scene.disc(0.02, 0.05, 0.72, 1.75, power=3, soft=0.03)
    leg = leg * edge(x + 0.66 + 0.14 * np.cos(2.4 * y + 0.3), 0.02)
    scene.lay(0.70 + 0.03 * scene.noise(7), leg)
    back = edge(x - 0.30 + 0.10 * np.cos(3.2 * y), 0.02) * edge(0.62 - x, 0.02) * leg
    scene.lay(0.24 + 0.05 * scene.noise(3), back * edge(np.abs(y - 0.08) - 0.16, 0.05))
    scene.lay(0.55, scene.disc(0.05, 0.12, 0.42, 0.08, power=3))
    if finding == "effusion":
        scene.lay(0.97, scene.disc(-0.33, -0.60, 0.085, 0.30, turn=-0.10))
    tendon = edge(0.030 - np.abs(x + 0.50 - 0.16 * (y - 0.05)), 0.012)
    tendon = tendon * edge(y + 0.14, 0.03) * edge(0.52 - y, 0.03)
    quadriceps = edge(0.028 - np.abs(x + 0.45 - 0.08 * (y + 0.6)), 0.012) * edge(-0.48 - y, 0.03)
    scene.lay(0.06, np.maximum(tendon, quadriceps * leg))
    _bones(scene)
    _menisci(scene, torn=finding == "meniscal tear")
    cruciate = edge(0.026 - np.abs(x - 0.06 + 0.75 * (y - 0.05)), 0.015)
    scene.lay(0.14, cruciate * edge(0.13 - np.abs(y - 0.06), 0.02))
    return scene.picture(0.010)


def _bones(scene: Scene) -> None:
    """Femur, tibia and patella: marrow in a dark cortex, and cartilage on the condyle."""
    femur = np.maximum(scene.disc(0.0, -0.82, 0.23, 0.66, power=4), scene.disc(0.05, -0.22, 0.37, 0.30))
    plateau = scene.disc(0.06, 0.31, 0.38, 0.15, power=3.4)
    tibia = np.maximum(plateau, scene.disc(0.02, 0.95, 0.24, 0.66, power=4))
    patella = scene.disc(-0.47, -0.34, 0.085, 0.20, turn=0.12, power=2.6)
    marrow = 0.58 + 0.03 * scene.noise(4)
    for bone in (femur, tibia, patella):
        scene.lay(0.07, edge(blur(bone, 3.0) - 0.22, 0.15))
        scene.lay(marrow, edge(blur(bone, 2.0) - 0.60, 0.15))
    cartilage = scene.disc(0.05, -0.21, 0.415, 0.335) - scene.disc(0.05, -0.22, 0.385, 0.31)
    scene.lay(0.80, np.clip(cartilage, 0, 1) * edge(scene.y + 0.30, 0.05))


def _menisci(scene: Scene, torn: bool) -> None:
    """Two dark wedges in the joint; if `torn`, a bright line crosses the posterior one."""
    away = np.abs(scene.y - 0.125)
    for side in (-1, 1):
        reach: Field = (scene.x - 0.05) * side
        wedge = edge(0.13 * (reach - 0.13) / 0.25 - away, 0.01)
        horn = edge(reach - 0.16, 0.01) * edge(0.38 - reach, 0.01) * wedge
        scene.lay(0.04, horn)
        if torn and side == 1:
            scene.lay(0.95, horn * edge(0.010 - np.abs(scene.y - 0.125 + 0.35 * (reach - 0.27)), 0.006))


def mr_spine(seed: int, finding: str = "none", size: tuple[int, int] = (320, 408)) -> Image.Image:
    """Sagittal T2-weighted lumbar spine, the back on the right; findings: none, herniation, fracture."""
    scene = Scene(seed, size)
    x, y = scene.x, scene.y
    along = x + 0.16 * np.cos(1.5 * y - 0.4) - 0.16
    scene.canvas = 0.12 + 0.04 * scene.noise(9) + 0.55 * edge(along - 0.44, 0.05)
    scene.lay(0.72, edge(x - 0.58, 0.02) * edge(0.70 - x, 0.02))
    scene.lay(0.02, edge(x - 0.72 - 0.02 * np.sin(4 * y), 0.01))
    scene.lay(0.92, edge(along - 0.13, 0.012) * edge(0.29 - along, 0.012))
    cord = edge(0.045 - np.abs(along - 0.20), 0.012) * edge(-0.25 - y, 0.10)
    roots = (0.5 + 0.5 * np.sin(along * 190)) * edge(0.06 - np.abs(along - 0.225), 0.02)
    scene.lay(0.42, np.maximum(cord, 0.55 * roots * edge(y + 0.35, 0.1)))
    for k in range(-1, 7):
        _segment(
            scene,
            along,
            middle=-0.86 + 0.31 * k,
            collapsed=finding == "fracture" and k == 2,
            herniated=finding == "herniation" and k == 4,
        )
    return scene.picture(0.008)


def _segment(scene: Scene, along: Field, middle: float, collapsed: bool, herniated: bool) -> None:
    """One vertebral body, the disc below it and the spinous process behind it."""
    y = scene.y
    height = 0.115 * (0.62 if collapsed else 1)
    gap = middle + 0.155
    scene.lay(0.05, disc(along, y, (-0.08, middle), (0.215, height + 0.014), power=6))
    scene.lay(0.44 + 0.03 * scene.noise(5), disc(along, y, (-0.08, middle), (0.20, height), power=6))
    scene.lay(0.10, disc(along, y, (-0.08, gap), (0.21, 0.032), power=4))
    scene.lay(0.14 if herniated else 0.74, disc(along, y, (-0.08, gap), (0.14, 0.022), soft=0.02))
    if herniated:
        scene.lay(0.20, disc(along, y, (0.165, gap), (0.085, 0.055)))
    behind = 0.54 - 0.16 * np.cos(1.5 * middle - 0.4)
    scene.lay(0.34, scene.disc(behind, middle + 0.10, 0.15, 0.05, turn=0.45, power=3))


def mr_liver(seed: int, finding: str = "none", size: tuple[int, int] = (432, 332)) -> Image.Image:
    """Axial T2-weighted upper abdomen with one of `LIVER_FINDINGS`."""
    scene = Scene(seed, size)
    scene.lay(0.75, scene.disc(0, 0, 1.18, 0.82, power=2.2))
    scene.lay(0.18, scene.disc(0, 0, 1.06, 0.71, power=2.3))
    scene.lay(0.66 + 0.03 * scene.noise(9), scene.disc(0, -0.04, 0.96, 0.61, power=2.4))
    right = scene.disc(-0.48, -0.12, 0.47, 0.45, turn=0.15, power=2.3) * edge(0.2 - scene.x, 0.02)
    liver = np.maximum(right, scene.disc(0, -0.34, 0.40, 0.2))
    scene.lay(0.30 + 0.015 * scene.noise(3), liver)
    scene.paint((*ABDOMEN, *LIVER_FINDINGS[finding]))
    picture = scene.picture(0.008)
    label(picture, "R", (10, size[1] / 2 - 12), 22, 220)
    return picture
