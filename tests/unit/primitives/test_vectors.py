import json
from pathlib import Path

import pytest

from scripts.make_vectors import FILES

VECTORS = Path(__file__).parents[3] / "docs/spec/vectors"


@pytest.mark.parametrize("name", sorted(FILES))
def test_published_vectors_are_what_this_code_computes(name):
    assert json.loads((VECTORS / name).read_text()) == FILES[name]()
