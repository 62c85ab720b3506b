"""Every test checks the annotations of the library's pure functions, shapes included, against what calls pass.

The modules are hooked before a test imports them. Without this hook the annotations are documentation and cost nothing.
"""

import checked_shapes
from jaxtyping import install_import_hook

install_import_hook(checked_shapes.MODULES, "checked_shapes.on_return")
