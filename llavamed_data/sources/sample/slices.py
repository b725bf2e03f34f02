"""Cross-sections: CT-like and MR-like phantoms."""

import numpy as np
from PIL import Image

from llavamed_data.sources.sample.canvas import (
    Field,
    arrow,
    blur,
    disc,
    edge,
    grid,
    label,
    noise,
    over,
    radius,
    soften,
    to_image,
)

MR_CONTRAST = {
    # sequence: fluid, grey matter, white matter, fat
    "T2": (0.92, 0.52, 0.36, 0.80),
    "T1": (0.10, 0.40, 0.56, 0.88),
    "FLAIR": (0.08, 0.56, 0.44, 0.72),
}


def _finish(canvas: Field, rng: np.random.Generator, grain: float) -> Image.Image:
    return soften(to_image(canvas + grain * noise(rng, canvas.shape, 1.0)), 0.6)


def ct_chest(
    seed: int, finding: str = "none", size: tuple[int, int] = (432, 332), mark: bool = False
) -> Image.Image:
    """Axial CT of the chest: none, nodule, effusion, consolidation, lymph node, dissection or emboli."""
    rng = np.random.default_rng(seed)
    x, y = grid(*size)
    canvas = _trunk(x, y, (1.20, 0.84), rng)
    lungs = np.zeros_like(x)
    for side in (-1, 1):
        lobe = disc(x, y, (side * 0.56, 0.03), (0.40, 0.59), turn=side * 0.22, power=2.3)
        lungs = np.maximum(lungs, lobe)
    middle = disc(x, y, (0.02, -0.06), (0.27, 0.52), power=2.6)
    heart = disc(x, y, (0.17, -0.13), (0.36, 0.29), turn=0.45)
    lungs = lungs * (1 - np.maximum(middle, heart))
    dots = np.clip(noise(rng, x.shape, 2.4) - 1.25, 0, 1.6) * (1 - 0.5 * edge(np.abs(x) - 0.62, 0.2))
    canvas = over(canvas, 0.05 + 0.55 * dots, lungs)
    canvas = over(canvas, 0.36, middle * (1 - heart))
    canvas = over(canvas, 0.55, heart)
    for centre, radii in (
        ((0.28, -0.13), (0.17, 0.14)),
        ((0.03, -0.22), (0.14, 0.12)),
        ((0.08, 0.08), (0.18, 0.08)),
    ):
        canvas = over(canvas, 0.80, disc(x, y, centre, radii, turn=0.4, soft=0.03))
    aorta = disc(x, y, (0.17, 0.32), (0.105, 0.105))
    canvas = over(canvas, 0.84, aorta)
    canvas = over(canvas, 0.05, disc(x, y, (-0.02, 0.20), (0.05, 0.045)))
    canvas = _spine(canvas, x, y, 0.53)
    canvas = _rib_sections(canvas, x, y, (1.03, 0.70))
    canvas = over(canvas, 0.95, disc(x, y, (0, -0.70), (0.16, 0.045), power=3))
    if finding == "nodule":
        canvas = over(canvas, 0.62, disc(x, y, (-0.66, -0.08), (0.095, 0.085), turn=0.5, soft=0.02))
    elif finding == "effusion":
        canvas = over(canvas, 0.40, lungs * (x < 0) * edge(y - 0.30 + 0.25 * (x + 0.56) ** 2, 0.02))
    elif finding == "consolidation":
        patch = np.exp(-(radius(x, y, (-0.62, 0.26), (0.26, 0.24)) ** 4)) * lungs
        canvas = over(canvas, 0.5 + 0.08 * noise(rng, x.shape, 5), 0.9 * patch)
    elif finding == "lymph node":
        canvas = over(canvas, 0.50, disc(x, y, (-0.15, -0.30), (0.13, 0.10), soft=0.015))
    elif finding == "dissection":
        canvas = over(canvas, 0.84, disc(x, y, (0.18, 0.33), (0.15, 0.14)))
        flap = np.exp(-(((x - 0.17 - 0.5 * (y - 0.33) ** 2) / 0.012) ** 2)) * disc(
            x, y, (0.18, 0.33), (0.14, 0.13)
        )
        canvas = over(canvas, 0.25, flap)
    elif finding == "emboli":
        canvas = over(canvas, 0.30, disc(x, y, (0.0, -0.22), (0.075, 0.035), turn=0.5))
    picture = _finish(canvas, rng, 0.010)
    if mark:
        arrow(picture, (size[0] / 2 - 0.72 * size[1] / 2, size[1] * 0.38), np.pi * 1.25, 255)
    return picture


def ct_abdomen(seed: int, finding: str = "none", size: tuple[int, int] = (432, 332)) -> Image.Image:
    """Axial CT of the upper abdomen; findings: none, liver lesion, kidney mass, cyst, stones, aneurysm."""
    rng = np.random.default_rng(seed)
    x, y = grid(*size)
    canvas = _trunk(x, y, (1.18, 0.82), rng)
    inner = disc(x, y, (0, -0.04), (0.94, 0.60), power=2.4)
    canvas = over(canvas, 0.20 + 0.015 * noise(rng, x.shape, 8), inner)
    liver = disc(x, y, (-0.50, -0.13), (0.46, 0.44), turn=0.15, power=2.3) * edge(
        0.16 - x + 0.5 * (-y - 0.3), 0.02
    )
    liver = np.maximum(liver, disc(x, y, (-0.05, -0.36), (0.34, 0.19), turn=0.1))
    canvas = over(canvas, 0.56 + 0.02 * noise(rng, x.shape, 3), liver * inner)
    for cx, cy, turn in ((-0.42, -0.12, 0.7), (-0.58, 0.02, 0.1), (-0.28, -0.30, -0.5)):
        canvas = over(canvas, 0.72, disc(x, y, (cx, cy), (0.13, 0.024), turn=turn))
    stomach = disc(x, y, (0.44, -0.29), (0.30, 0.21), turn=0.35)
    canvas = over(canvas, 0.52, stomach)
    cavity = disc(x, y, (0.44, -0.29), (0.27, 0.18), turn=0.35)
    canvas = over(canvas, np.where(y < -0.33, 0.02, 0.36), cavity)
    canvas = over(
        canvas, 0.58 + 0.02 * noise(rng, x.shape, 3), disc(x, y, (0.78, 0.12), (0.14, 0.29), turn=-0.25)
    )
    canvas = over(canvas, 0.50, disc(x, y, (0.18, -0.01), (0.30, 0.065), turn=-0.25, soft=0.02))
    for side in (-1, 1):
        spot = (side * 0.43, 0.29)
        canvas = over(canvas, 0.80, disc(x, y, spot, (0.15, 0.19), turn=side * 0.5))
        canvas = over(canvas, 0.60, disc(x, y, spot, (0.09, 0.125), turn=side * 0.5, soft=0.03))
        canvas = over(canvas, 0.22, disc(x, y, (side * 0.35, 0.27), (0.055, 0.05)))
    canvas = over(canvas, 0.88, disc(x, y, (0.06, 0.19), (0.085, 0.08)))
    canvas = over(canvas, 0.66, disc(x, y, (-0.15, 0.17), (0.10, 0.065)))
    for side in (-1, 1):
        canvas = over(canvas, 0.48, disc(x, y, (side * 0.21, 0.40), (0.10, 0.12)))
    canvas = _spine(canvas, x, y, 0.42)
    canvas = _rib_sections(canvas, x, y, (1.02, 0.68))
    if finding == "liver lesion":
        canvas = over(canvas, 0.40, disc(x, y, (-0.66, -0.24), (0.14, 0.13), soft=0.03))
        canvas = over(canvas, 0.30, disc(x, y, (-0.66, -0.24), (0.07, 0.06), soft=0.03))
    elif finding == "kidney mass":
        canvas = over(canvas, 0.66 + 0.08 * noise(rng, x.shape, 6), disc(x, y, (0.55, 0.37), (0.17, 0.15)))
    elif finding == "cyst":
        canvas = over(canvas, 0.28, disc(x, y, (-0.58, 0.33), (0.13, 0.12)))
    elif finding == "aneurysm":
        canvas = over(canvas, 0.48, disc(x, y, (0.06, 0.14), (0.22, 0.20)))
        canvas = over(canvas, 0.90, disc(x, y, (0.08, 0.16), (0.12, 0.11)))
    return _finish(canvas, rng, 0.010)


def ct_head(seed: int, finding: str = "none", size: tuple[int, int] = (344, 400)) -> Image.Image:
    """Axial CT of the head; findings: none, subdural, haematoma, infarct, epidural."""
    rng = np.random.default_rng(seed)
    x, y = grid(*size)
    scalp, outer, inner = (
        radius(x, y, (0, 0), radii, power=2.15) for radii in ((0.73, 0.93), (0.695, 0.89), (0.635, 0.825))
    )
    canvas = over(np.full(x.shape, 0.02), 0.36, edge(1 - scalp, 0.02))
    canvas = over(canvas, 0.97, edge(1 - outer, 0.015))
    brain = edge(1 - inner, 0.015)
    sulci, cortex = _cortex(inner, rng, 0.80)
    canvas = over(canvas, 0.40 + 0.06 * cortex + 0.01 * noise(rng, x.shape, 5), brain)
    canvas = over(canvas, 0.26, 0.8 * sulci * brain)
    shift = 0.06 if finding in ("subdural", "epidural", "haematoma") else 0.0
    canvas = _ventricles(canvas, x - shift * np.exp(-((y / 0.5) ** 2)), y, 0.20)
    canvas = over(canvas, 0.56, 0.7 * brain * np.exp(-((x / 0.008) ** 2)) * edge(np.abs(y) - 0.45, 0.05))
    if finding == "subdural":
        crescent = brain * (1 - disc(x, y, (0.11, 0), (0.64, 0.80))) * (x < 0.1)
        canvas = over(canvas, 0.80 + 0.03 * noise(rng, x.shape, 4), crescent)
    elif finding == "epidural":
        canvas = over(canvas, 0.82, brain * disc(x, y, (-0.60, -0.12), (0.17, 0.34), turn=0.08))
    elif finding == "haematoma":
        canvas = over(canvas, 0.28, 0.8 * disc(x, y, (-0.27, 0.0), (0.22, 0.26), turn=0.3, soft=0.03))
        ragged = 1 - radius(x, y, (-0.27, 0.0), (0.16, 0.20), turn=0.3) + 0.10 * noise(rng, x.shape, 10)
        canvas = over(canvas, 0.84, edge(ragged, 0.05))
    elif finding == "infarct":
        wedge = brain * np.exp(-(radius(x, y, (0.45, -0.05), (0.28, 0.34)) ** 6))
        canvas = over(canvas, 0.27, 0.9 * wedge)
    return _finish(canvas, rng, 0.010)


def mr_brain(
    seed: int,
    sequence: str = "T2",
    finding: str = "none",
    size: tuple[int, int] = (344, 400),
    mark: bool = False,
) -> Image.Image:
    """Axial MR of the brain; findings: none, tumour, enhancing tumour, plaques, infarct, abscess."""
    rng = np.random.default_rng(seed)
    fluid, grey, white, fat = MR_CONTRAST[sequence]
    x, y = grid(*size)
    scalp, skull, inside, inner = (
        radius(x, y, (0, 0), radii, power=2.15)
        for radii in ((0.74, 0.94), (0.69, 0.89), (0.64, 0.83), (0.615, 0.80))
    )
    canvas = over(np.full(x.shape, 0.015), fat, edge(1 - scalp, 0.015))
    canvas = over(canvas, 0.06, edge(1 - skull, 0.015))
    canvas = over(canvas, fluid, edge(1 - inside, 0.012))
    brain = edge(1 - inner, 0.012)
    sulci, cortex = _cortex(inner, rng, 0.55)
    tissue = white + (grey - white) * cortex + 0.012 * noise(rng, x.shape, 6)
    canvas = over(canvas, tissue, brain)
    for side in (-1, 1):
        canvas = over(
            canvas, grey, 0.9 * disc(x, y, (side * 0.25, -0.08), (0.085, 0.20), turn=side * 0.3, soft=0.02)
        )
        canvas = over(
            canvas, grey, 0.9 * disc(x, y, (side * 0.11, 0.10), (0.09, 0.13), turn=-side * 0.3, soft=0.02)
        )
        canvas = over(canvas, grey, 0.8 * disc(x, y, (side * 0.15, -0.28), (0.06, 0.09), soft=0.02))
    canvas = over(canvas, fluid, sulci * brain)
    canvas = over(canvas, fluid, brain * np.exp(-((x / 0.010) ** 2)) * edge(np.abs(y) - 0.40, 0.04))
    canvas = _ventricles(canvas, x, y, fluid)
    canvas = _brain_finding(canvas, x, y, finding, fluid, brain, rng)
    picture = _finish(canvas, rng, 0.008)
    if mark:
        arrow(picture, (size[0] / 2 + 0.12 * size[1] / 2, size[1] * 0.36), -0.25 * np.pi, 255)
    return picture


def mr_knee(seed: int, finding: str = "none", size: tuple[int, int] = (344, 400)) -> Image.Image:
    """Sagittal MR of the knee; findings: none, effusion, meniscal tear, bone bruise."""
    rng = np.random.default_rng(seed)
    x, y = grid(*size)
    leg = disc(x, y, (0.02, 0.05), (0.72, 1.75), power=3, soft=0.03)
    leg = leg * edge(x + 0.66 + 0.14 * np.cos(2.4 * y + 0.3), 0.02)
    canvas = over(np.full(x.shape, 0.015), 0.70 + 0.03 * noise(rng, x.shape, 7), leg)
    fibres = noise(rng, (x.shape[0], x.shape[1]), 3) * 0.05
    back = edge(x - 0.30 + 0.10 * np.cos(3.2 * y), 0.02) * edge(0.62 - x, 0.02) * leg
    canvas = over(canvas, 0.24 + fibres, back * edge(np.abs(y - 0.08) - 0.16, 0.05))
    femur = np.maximum(
        disc(x, y, (0.0, -0.82), (0.23, 0.66), power=4), disc(x, y, (0.05, -0.22), (0.37, 0.30))
    )
    shaft = disc(x, y, (0.02, 0.95), (0.24, 0.66), power=4)
    tibia = np.maximum(disc(x, y, (0.06, 0.31), (0.38, 0.15), power=3.4), shaft)
    patella = disc(x, y, (-0.47, -0.34), (0.085, 0.20), turn=0.12, power=2.6)
    joint = disc(x, y, (0.05, 0.12), (0.42, 0.08), power=3)
    canvas = over(canvas, 0.55, joint)
    if finding == "effusion":
        canvas = over(canvas, 0.97, disc(x, y, (-0.33, -0.60), (0.085, 0.30), turn=-0.10))
    tendon = (
        edge(0.030 - np.abs(x + 0.50 - 0.16 * (y - 0.05)), 0.012)
        * edge(y + 0.14, 0.03)
        * edge(0.52 - y, 0.03)
    )
    quadriceps = edge(0.028 - np.abs(x + 0.45 - 0.08 * (y + 0.6)), 0.012) * edge(-0.48 - y, 0.03)
    canvas = over(canvas, 0.06, np.maximum(tendon, quadriceps * leg))
    marrow = 0.58 + 0.03 * noise(rng, x.shape, 4)
    for bone in (femur, tibia, patella):
        canvas = over(canvas, 0.07, edge(blur(bone, 3.0) - 0.22, 0.15))
        canvas = over(canvas, marrow, edge(blur(bone, 2.0) - 0.60, 0.15))
    rim = disc(x, y, (0.05, -0.21), (0.415, 0.335)) - disc(x, y, (0.05, -0.22), (0.385, 0.31))
    canvas = over(canvas, 0.80, np.clip(rim, 0, 1) * edge(y + 0.30, 0.05))
    for side in (-1, 1):
        reach = (x - 0.05) * side
        horn = (
            edge(reach - 0.16, 0.01)
            * edge(0.38 - reach, 0.01)
            * edge(0.13 * (reach - 0.13) / 0.25 - np.abs(y - 0.125), 0.01)
        )
        canvas = over(canvas, 0.04, horn)
        if finding == "meniscal tear" and side == 1:
            cleft = edge(0.010 - np.abs(y - 0.125 + 0.35 * (reach - 0.27)), 0.006)
            canvas = over(canvas, 0.95, horn * cleft)
    cross = edge(0.026 - np.abs(x - 0.06 + 0.75 * (y - 0.05)), 0.015) * edge(0.13 - np.abs(y - 0.06), 0.02)
    canvas = over(canvas, 0.14, cross)
    if finding == "bone bruise":
        canvas = over(canvas, 0.92, 0.75 * np.exp(-(radius(x, y, (0.18, 0.33), (0.20, 0.12)) ** 4)))
    return _finish(canvas, rng, 0.010)


def mr_spine(seed: int, finding: str = "none", size: tuple[int, int] = (320, 408)) -> Image.Image:
    """Sagittal T2-weighted MR of the lumbar spine; findings: none, herniation, fracture."""
    rng = np.random.default_rng(seed)
    x, y = grid(*size)
    bend = 0.16 * np.cos(1.5 * y - 0.4) - 0.16
    u = x + bend
    canvas = 0.12 + 0.04 * noise(rng, x.shape, 9) + 0.55 * edge(u - 0.44, 0.05)
    canvas = over(canvas, 0.72, edge(x - 0.58, 0.02) * edge(0.70 - x, 0.02))
    canvas = over(canvas, 0.02, edge(x - 0.72 - 0.02 * np.sin(4 * y), 0.01))
    canal = edge(u - 0.13, 0.012) * edge(0.29 - u, 0.012)
    canvas = over(canvas, 0.92, canal)
    cord = edge(0.045 - np.abs(u - 0.20), 0.012) * edge(-0.25 - y, 0.10)
    roots = (0.5 + 0.5 * np.sin(u * 190)) * edge(0.06 - np.abs(u - 0.225), 0.02) * edge(y + 0.35, 0.1)
    canvas = over(canvas, 0.42, np.maximum(cord, 0.55 * roots))
    for k in range(-1, 7):
        middle = -0.86 + 0.31 * k
        height = 0.115 * (0.62 if finding == "fracture" and k == 2 else 1)
        body = disc(u, y, (-0.08, middle), (0.20, height), power=6)
        canvas = over(canvas, 0.05, disc(u, y, (-0.08, middle), (0.215, height + 0.014), power=6))
        canvas = over(canvas, 0.44 + 0.03 * noise(rng, x.shape, 5), body)
        gap = middle + 0.155
        worn = finding == "herniation" and k == 4
        canvas = over(canvas, 0.10, disc(u, y, (-0.08, gap), (0.21, 0.032), power=4))
        canvas = over(canvas, 0.14 if worn else 0.74, disc(u, y, (-0.08, gap), (0.14, 0.022), soft=0.02))
        if worn:
            canvas = over(canvas, 0.20, disc(u, y, (0.165, gap), (0.085, 0.055)))
        spike = disc(
            x,
            y,
            (0.42 - 0.16 * np.cos(1.5 * middle - 0.4) + 0.12, middle + 0.10),
            (0.15, 0.05),
            turn=0.45,
            power=3,
        )
        canvas = over(canvas, 0.34, spike)
    return _finish(canvas, rng, 0.008)


def mr_liver(seed: int, finding: str = "none", size: tuple[int, int] = (432, 332)) -> Image.Image:
    """Axial T2-weighted MR of the upper abdomen: a CT-like layout in MR greys; findings as `ct_abdomen`."""
    rng = np.random.default_rng(seed)
    x, y = grid(*size)
    canvas = over(np.full(x.shape, 0.015), 0.75, disc(x, y, (0, 0), (1.18, 0.82), power=2.2))
    canvas = over(canvas, 0.18, disc(x, y, (0, 0), (1.06, 0.71), power=2.3))
    inner = disc(x, y, (0, -0.04), (0.96, 0.61), power=2.4)
    canvas = over(canvas, 0.66 + 0.03 * noise(rng, x.shape, 9), inner)
    liver = disc(x, y, (-0.48, -0.12), (0.47, 0.45), turn=0.15, power=2.3) * edge(0.2 - x, 0.02)
    canvas = over(
        canvas, 0.30 + 0.015 * noise(rng, x.shape, 3), np.maximum(liver, disc(x, y, (0, -0.34), (0.40, 0.2)))
    )
    canvas = over(canvas, 0.62, disc(x, y, (0.77, 0.10), (0.15, 0.31), turn=-0.25))
    for side in (-1, 1):
        canvas = over(canvas, 0.68, disc(x, y, (side * 0.42, 0.30), (0.14, 0.18), turn=side * 0.5))
    canvas = over(canvas, 0.02, disc(x, y, (0.07, 0.19), (0.08, 0.08)))
    canvas = over(canvas, 0.04, disc(x, y, (-0.16, 0.16), (0.10, 0.06)))
    canvas = over(canvas, 0.97, disc(x, y, (-0.20, -0.02), (0.11, 0.075), turn=0.5))
    canvas = over(canvas, 0.36, disc(x, y, (-0.02, 0.42), (0.17, 0.14)))
    canvas = over(canvas, 0.96, disc(x, y, (-0.02, 0.60), (0.085, 0.045)))
    if finding == "cyst":
        canvas = over(canvas, 0.98, disc(x, y, (-0.62, -0.20), (0.15, 0.14)))
    elif finding == "liver lesion":
        canvas = over(canvas, 0.80, disc(x, y, (-0.60, -0.22), (0.15, 0.13), soft=0.03))
        canvas = over(canvas, 0.55, disc(x, y, (-0.60, -0.22), (0.06, 0.05), soft=0.03))
    picture = _finish(canvas, rng, 0.008)
    label(picture, "R", (10, size[1] / 2 - 12), 22, 220)
    return picture


def _trunk(x: Field, y: Field, radii: tuple[float, float], rng: np.random.Generator) -> Field:
    canvas = np.full(x.shape, 0.015)
    table = np.exp(-(((y - 0.95 + 0.10 * x**2) / 0.014) ** 2)) * edge(1.05 - np.abs(x), 0.03)
    canvas = over(canvas, 0.35, table)
    canvas = over(canvas, 0.20, disc(x, y, (0, 0), radii, power=2.3))
    wall = disc(x, y, (0, 0), (radii[0] - 0.10, radii[1] - 0.09), power=2.4)
    return over(canvas, 0.46 + 0.02 * noise(rng, x.shape, 4), wall)


def _spine(canvas: Field, x: Field, y: Field, top: float) -> Field:
    canvas = over(canvas, 0.86, disc(x, y, (0, top), (0.15, 0.12)))
    canvas = over(canvas, 0.70, disc(x, y, (0, top), (0.115, 0.09), soft=0.02))
    for side in (-1, 1):
        canvas = over(canvas, 0.90, disc(x, y, (side * 0.15, top + 0.15), (0.13, 0.032), turn=side * 0.35))
    canvas = over(canvas, 0.90, disc(x, y, (0, top + 0.22), (0.035, 0.10)))
    return over(canvas, 0.38, disc(x, y, (0, top + 0.145), (0.062, 0.05)))


def _rib_sections(canvas: Field, x: Field, y: Field, radii: tuple[float, float]) -> Field:
    for side in (-1, 1):
        for angle in (-0.85, -0.35, 0.15, 0.62, 1.0):
            spot = (side * radii[0] * np.cos(angle), radii[1] * np.sin(angle))
            turn = side * (np.pi / 2 + angle * 0.8)
            canvas = over(canvas, 0.95, disc(x, y, spot, (0.095, 0.032), turn=turn))
            canvas = over(canvas, 0.62, disc(x, y, spot, (0.060, 0.012), turn=turn))
    return canvas


def _cortex(rho: Field, rng: np.random.Generator, depth: float) -> tuple[Field, Field]:
    """Masks of sulci (fluid lines) and cortex (the grey band along them), beyond `depth` of the radius."""
    field = noise(rng, rho.shape, 9)
    across = np.hypot(*np.gradient(field)) + 0.02
    zone = edge(rho - depth - 0.12, 0.12)
    sulci = edge(1.1 - np.abs(field) / across, 0.8) * zone
    near = np.maximum(edge(blur(sulci, 4.0) - 0.14, 0.10), edge(rho - 0.92, 0.03))
    return np.asarray(0.85 * sulci), np.asarray(near)


def _ventricles(canvas: Field, x: Field, y: Field, fluid: float) -> Field:
    for side in (-1, 1):
        canvas = over(canvas, fluid, disc(x, y, (side * 0.095, -0.20), (0.052, 0.17), turn=side * 0.38))
        canvas = over(canvas, fluid, disc(x, y, (side * 0.20, 0.30), (0.052, 0.17), turn=-side * 0.45))
    return over(canvas, fluid, disc(x, y, (0, 0.06), (0.016, 0.12)))


def _brain_finding(
    canvas: Field, x: Field, y: Field, finding: str, fluid: float, brain: Field, rng: np.random.Generator
) -> Field:
    ragged = 0.14 * noise(rng, x.shape, 12)
    if finding == "tumour":
        canvas = over(
            canvas, 0.78, 0.9 * edge(1 - radius(x, y, (0.30, -0.28), (0.26, 0.30)) + ragged, 0.10) * brain
        )
        canvas = over(canvas, 0.60, edge(1 - radius(x, y, (0.30, -0.30), (0.15, 0.17)) + ragged, 0.06))
    elif finding == "enhancing tumour":
        rho = radius(x, y, (0.30, -0.28), (0.19, 0.21)) - ragged
        canvas = over(canvas, 0.26, 0.8 * edge(1.5 - rho, 0.15) * brain)
        canvas = over(canvas, 0.97, edge(1 - rho, 0.05))
        canvas = over(canvas, 0.18, edge(0.68 - rho, 0.07))
    elif finding == "plaques":
        for cx, cy, turn in (
            (0.20, -0.34, 0.8),
            (-0.22, -0.28, -0.8),
            (0.30, 0.12, 0.3),
            (-0.33, 0.16, -0.3),
            (-0.28, 0.40, -0.9),
            (0.26, 0.45, 0.9),
            (0.12, -0.45, 1.2),
        ):
            canvas = over(canvas, 0.93, disc(x, y, (cx, cy), (0.030, 0.062), turn=turn, soft=0.02))
    elif finding == "infarct":
        canvas = over(
            canvas, 0.78, 0.75 * brain * edge(1 - radius(x, y, (-0.40, 0.02), (0.20, 0.31)) + ragged, 0.14)
        )
    elif finding == "abscess":
        rho = radius(x, y, (-0.28, 0.34), (0.15, 0.14))
        canvas = over(canvas, 0.80, 0.7 * edge(1.7 - rho, 0.2) * brain)
        canvas = over(canvas, 0.10, edge(1 - rho, 0.05))
        canvas = over(canvas, max(fluid, 0.85), edge(0.82 - rho, 0.05))
    return canvas
