"""The annotations of the pure functions: they are checked while tests run, and no array is without its shape."""

import importlib
import inspect
import re
import typing
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checked_shapes import MODULES
from jaxtyping import TypeCheckError

from fprior.conv import conv
from fprior.errors import InputError
from fprior.losses import binary_cross_entropy, count_error
from fprior.metrics.interpretability import cosine_similarity, shannon_entropy
from fprior.objectives import summed_tasks
from fprior.priors import fourier_prior, track_of
from fprior.sequence import reverse_complement, reverse_complement_tokens
from fprior.shuffle import dinucleotide_shuffle

# What a docstring says a shape with: `(B, L, 4)`, or in words.
SHAPE = re.compile(r"`\([^`]*\)`|\bshapes?\b|\bscalar\b|\bany\b")


@pytest.mark.parametrize(
    "call",
    [
        lambda: reverse_complement(jnp.ones((2, 5, 3))),  # three bases
        lambda: track_of(np.ones((4, 5), np.float32)),  # five bases
        lambda: binary_cross_entropy(jnp.ones((2, 3, 1)), jnp.ones((2, 3, 1))),  # one axis too many
        lambda: count_error(jnp.ones((2, 1)), jnp.ones((2, 5, 2))),  # it would broadcast
        lambda: reverse_complement_tokens(jnp.ones((2, 5))),  # floating tokens
        lambda: jax.jit(summed_tasks)(jnp.ones(3)),  # traced
    ],
    ids=["bases", "NumPy bases", "axes", "broadcast", "dtype", "traced"],
)
def test_a_shape_other_than_annotated_is_caught(call: Callable[[], Any]):
    with pytest.raises(TypeCheckError, match="fprior"):
        call()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: conv(jnp.ones((2, 9, 4)), jnp.ones((3, 5, 2))), ValueError, "has 4 channels but w"),
        (lambda: conv(jnp.ones((9, 4)), jnp.ones((3, 4, 2))), ValueError, r"must be \(B, L, C\)"),
        (lambda: fourier_prior(jnp.ones(9, int), freq_limit=2), ValueError, "must be of a floating dtype"),
        (lambda: dinucleotide_shuffle(np.ones(9), 1, key=jax.random.key(0)), TypeError, "must be integers"),
        (lambda: shannon_entropy(-np.ones(9)), InputError, "non-negative"),
        (lambda: cosine_similarity(np.ones((9, 4)), np.ones((8, 4))), InputError, "of the same sequences"),
    ],
)
def test_what_the_library_refuses_it_refuses_itself(call: Callable[[], Any], error: type[Exception], says: str):
    with pytest.raises(error, match=says) as caught:
        call()
    assert not isinstance(caught.value, TypeCheckError)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_annotations_hold_of_traced_and_of_half_precision_arrays(dtype: Any):
    tracks = jax.random.uniform(jax.random.key(0), (2, 3, 8), dtype)
    gradients = jax.jit(jax.vmap(jax.grad(lambda track: jnp.sum(fourier_prior(track, freq_limit=2)))))(tracks)
    assert gradients.shape == tracks.shape and gradients.dtype == dtype


def public_functions() -> Iterator[tuple[str, Callable]]:
    for name in MODULES:
        module = importlib.import_module(name)
        for function in vars(module).values():
            if inspect.isfunction(function) and function.__module__ == name and not function.__name__.startswith("_"):
                yield f"{name}.{function.__name__}", function


def parts_of(hint: Any) -> Iterator[Any]:
    """The hint and what it is made of; what a function given as an argument takes and returns is left out."""
    yield hint
    if typing.get_origin(hint) is not Callable:
        for part in typing.get_args(hint):
            yield from parts_of(part)


def hints_of(function: Callable) -> dict[str, list[Any]]:
    return {name: list(parts_of(hint)) for name, hint in typing.get_type_hints(function).items()}


def has_shape(hint: Any) -> bool:
    return hasattr(hint, "dim_str")


@pytest.mark.parametrize(("name", "function"), [pytest.param(*found, id=found[0]) for found in public_functions()])
def test_arrays_of_public_functions_have_shapes_in_annotations_and_docstrings(name: str, function: Callable):
    hints = hints_of(inspect.unwrap(function))
    assert set(hints) >= {"return", *inspect.signature(function).parameters} - {"self"}
    bare = [argument for argument, parts in hints.items() if any(p is jax.Array or p is np.ndarray for p in parts)]
    assert not bare, f"{name}: arrays without a shape: {bare}"
    if any(has_shape(part) for parts in hints.values() for part in parts):
        assert SHAPE.search(function.__doc__ or ""), f"{name}: its docstring says no shape"


def test_every_checked_module_has_functions_with_shapes():
    shaped = {
        function.__module__
        for _, function in public_functions()
        if any(has_shape(part) for parts in hints_of(inspect.unwrap(function)).values() for part in parts)
    }
    assert shaped == set(MODULES)
