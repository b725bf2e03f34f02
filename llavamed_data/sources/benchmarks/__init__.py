"""VQA-RAD, SLAKE and PathVQA, from the files that users have or from their copies on the Hub; read, never trusted.

`open_benchmark` finds the files, `Reading` turns their records into questions, `ImagePlaces` finds the images beside
them, `OriginalTypes` joins the answer types that a copy lost, `closed_options` are the choices of closed questions.
"""

from llavamed_data.sources.benchmarks.files import HUB, BenchmarkFiles, open_benchmark
from llavamed_data.sources.benchmarks.images import ImagePlaces, image_files
from llavamed_data.sources.benchmarks.joined import OriginalTypes
from llavamed_data.sources.benchmarks.options import closed_options
from llavamed_data.sources.benchmarks.questions import ALL_LANGUAGES, Question, Reading, Wanted

__all__ = [
    "ALL_LANGUAGES",
    "HUB",
    "BenchmarkFiles",
    "ImagePlaces",
    "OriginalTypes",
    "Question",
    "Reading",
    "Wanted",
    "closed_options",
    "image_files",
    "open_benchmark",
]
