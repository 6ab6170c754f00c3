"""Where the inputs of tests/fuzz lie: a folder for each target."""

from pathlib import Path
from typing import Final

CORPUS: Final = Path(__file__).parents[1] / "fuzz" / "corpus"
