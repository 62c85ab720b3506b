"""Every test checks the annotations of the library's pure functions, shapes included, against what calls pass.

The modules are hooked before a test imports them. Without this hook the annotations are documentation and cost nothing.
"""

from collections.abc import Iterator

import checked_shapes
import jax
import pytest
from jaxtyping import install_import_hook

install_import_hook(checked_shapes.MODULES, "checked_shapes.on_return")


@pytest.fixture(scope="module", autouse=True)
def _compiled_programs_end_with_their_module() -> Iterator[None]:
    """Kept, those of all modules are gigabytes."""
    yield
    jax.clear_caches()
