"""Axial phantoms of the head: CT-like and MR-like, which share the folds of the cortex and the ventricles."""

import numpy as np
from PIL import Image

from tests.sample_corpus.canvas import Blob, Field, Scene, arrow, blur, disc, edge

MR_CONTRAST = {
    # sequence: fluid, grey matter, white matter, fat
    "T2": (0.92, 0.52, 0.36, 0.80),
    "T1": (0.10, 0.40, 0.56, 0.88),
    "FLAIR": (0.08, 0.56, 0.44, 0.72),
}
PLAQUES = tuple(
    Blob(0.93, (x, y), (0.030, 0.062), turn=turn, soft=0.02)
    for x, y, turn in (
        (0.20, -0.34, 0.8), (-0.22, -0.28, -0.8), (0.30, 0.12, 0.3), (-0.33, 0.16, -0.3),
        (-0.28, 0.40, -0.9), (0.26, 0.45, 0.9), (0.12, -0.45, 1.2),
    )
)  # fmt: skip


def ct_head(seed: int, finding: str = "none", size: tuple[int, int] = (344, 400)) -> Image.Image:
    """Unenhanced CT; findings: none, subdural, epidural, haematoma, infarct."""
    scene = Scene(seed, size, ground=0.02)
    inner = scene.radius(0, 0, 0.635, 0.825, power=2.15)
    brain = edge(1 - inner, 0.015)
    scene.lay(0.36, edge(1 - scene.radius(0, 0, 0.73, 0.93, power=2.15), 0.02))
    scene.lay(0.97, edge(1 - scene.radius(0, 0, 0.695, 0.89, power=2.15), 0.015))
    sulci, cortex = _cortex(scene, inner, 0.80)
    scene.lay(0.40 + 0.06 * cortex + 0.01 * scene.noise(5), brain)
    scene.lay(0.26, 0.8 * sulci * brain)
    _ventricles(scene, 0.20, 0.06 if finding in ("subdural", "epidural", "haematoma") else 0.0)
    falx = np.exp(-((scene.x / 0.008) ** 2)) * edge(np.abs(scene.y) - 0.45, 0.05)
    scene.lay(0.56, 0.7 * brain * falx)
    if finding == "subdural":
        crescent = brain * (1 - scene.disc(0.11, 0, 0.64, 0.80)) * (scene.x < 0.1)
        scene.lay(0.80 + 0.03 * scene.noise(4), crescent)
    elif finding == "epidural":
        scene.lay(0.82, brain * scene.disc(-0.60, -0.12, 0.17, 0.34, turn=0.08))
    elif finding == "haematoma":
        scene.lay(0.28, 0.8 * scene.disc(-0.27, 0.0, 0.22, 0.26, turn=0.3, soft=0.03))
        ragged = 1 - scene.radius(-0.27, 0.0, 0.16, 0.20, turn=0.3) + 0.10 * scene.noise(10)
        scene.lay(0.84, edge(ragged, 0.05))
    elif finding == "infarct":
        scene.lay(0.27, 0.9 * brain * np.exp(-(scene.radius(0.45, -0.05, 0.28, 0.34) ** 6)))
    return scene.picture(0.010)


def mr_brain(
    seed: int,
    sequence: str = "T2",
    finding: str = "none",
    size: tuple[int, int] = (344, 400),
    mark: bool = False,
) -> Image.Image:
    """MR in one of `MR_CONTRAST`; findings: none, tumour, enhancing tumour, plaques, infarct, abscess."""
    scene = Scene(seed, size)
    fluid, grey, white, fat = MR_CONTRAST[sequence]
    inner = scene.radius(0, 0, 0.615, 0.80, power=2.15)
    brain = edge(1 - inner, 0.012)
    scene.lay(fat, edge(1 - scene.radius(0, 0, 0.74, 0.94, power=2.15), 0.015))
    scene.lay(0.06, edge(1 - scene.radius(0, 0, 0.69, 0.89, power=2.15), 0.015))
    scene.lay(fluid, edge(1 - scene.radius(0, 0, 0.64, 0.83, power=2.15), 0.012))
    sulci, cortex = _cortex(scene, inner, 0.55)
    scene.lay(white + (grey - white) * cortex + 0.012 * scene.noise(6), brain)
    scene.paint(
        (
            Blob(grey, (0.25, -0.08), (0.085, 0.20), turn=0.3, soft=0.02, paired=True),
            Blob(grey, (0.11, 0.10), (0.09, 0.13), turn=-0.3, soft=0.02, paired=True),
            Blob(grey, (0.15, -0.28), (0.06, 0.09), soft=0.02, paired=True),
        )
    )
    scene.lay(fluid, sulci * brain)
    scene.lay(fluid, brain * np.exp(-((scene.x / 0.010) ** 2)) * edge(np.abs(scene.y) - 0.40, 0.04))
    _ventricles(scene, fluid)
    _brain_finding(scene, finding, brain)
    picture = scene.picture(0.008)
    if mark:
        arrow(picture, (size[0] / 2 + 0.48 * size[1] / 2, size[1] * 0.27), -0.25 * np.pi, 255)
    return picture


def _cortex(scene: Scene, rho: Field, depth: float) -> tuple[Field, Field]:
    """Masks of sulci (fluid lines) and cortex (the grey band along them), beyond `depth` of the radius."""
    field = scene.noise(9)
    across = np.hypot(*np.gradient(field)) + 0.02
    sulci = edge(1.1 - np.abs(field) / across, 0.8) * edge(rho - depth - 0.12, 0.12)
    near = np.maximum(edge(blur(sulci, 4.0) - 0.14, 0.10), edge(rho - 0.92, 0.03))
    return np.asarray(0.85 * sulci), np.asarray(near)


def _ventricles(scene: Scene, fluid: float, shift: float = 0) -> None:
    """The lateral ventricles and the third, pushed to the right of the picture by up to `shift`."""
    x = scene.x - shift * np.exp(-((scene.y / 0.5) ** 2))
    for side in (-1, 1):
        scene.lay(fluid, disc(x, scene.y, (side * 0.095, -0.20), (0.052, 0.17), turn=side * 0.38))
        scene.lay(fluid, disc(x, scene.y, (side * 0.20, 0.30), (0.052, 0.17), turn=-side * 0.45))
    scene.lay(fluid, disc(x, scene.y, (0, 0.06), (0.016, 0.12)))


def _brain_finding(scene: Scene, finding: str, brain: Field) -> None:
    ragged = 0.14 * scene.noise(12)
    if finding == "tumour":
        scene.lay(0.78, 0.9 * brain * edge(1 - scene.radius(0.30, -0.28, 0.26, 0.30) + ragged, 0.10))
        scene.lay(0.60, edge(1 - scene.radius(0.30, -0.30, 0.15, 0.17) + ragged, 0.06))
    elif finding == "enhancing tumour":
        rho = scene.radius(0.30, -0.28, 0.19, 0.21) - ragged
        scene.lay(0.26, 0.8 * edge(1.5 - rho, 0.15) * brain)
        scene.lay(0.97, edge(1 - rho, 0.05))
        scene.lay(0.18, edge(0.68 - rho, 0.07))
    elif finding == "plaques":
        scene.paint(PLAQUES)
    elif finding == "infarct":
        scene.lay(0.78, 0.75 * brain * edge(1 - scene.radius(-0.40, 0.02, 0.20, 0.31) + ragged, 0.14))
    elif finding == "abscess":
        rho = scene.radius(-0.28, 0.34, 0.15, 0.14)
        scene.lay(0.80, 0.7 * edge(1.7 - rho, 0.2) * brain)
        scene.lay(0.10, edge(1 - rho, 0.05))
        scene.lay(0.85, edge(0.82 - rho, 0.05))
