"""What the benchmarks measure with: times, arithmetic, memory, and what the machine can do at best."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

PACKAGES = ("fprior", "jax", "jaxlib", "flax", "numpy")
_CONVOLUTIONS = ("conv_forward", "conv_input_gradient", "conv_weight_gradient")


def hardware() -> dict[str, Any]:
    """The device, the processor and the versions, for beside the numbers."""
    device = jax.local_devices()[0]
    processor = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        processor = names[0] if names else processor
    return {
        "device": f"{device.platform}: {device.device_kind}",
        "devices": len(jax.local_devices()),
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
    }


def times(functions: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each function, called in turns so that all meet the same state of the machine.

    Each is called once before the clock runs; what it returns is waited for.
    """
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(repeats + 1):
        for name, function in functions.items():
            began = time.perf_counter()
            jax.block_until_ready(function())
            if repeat:
                taken[name].append(time.perf_counter() - began)
    return {name: float(np.median(seconds)) for name, seconds in taken.items()}


def matrix_multiply_peak(size: int, dtype: Any = jnp.float32) -> float:
    """Floating-point operations a second of a product of two square matrices, the best of several."""
    a = jax.random.normal(jax.random.key(0), (size, size), dtype)
    multiply = jax.jit(lambda a, b: a @ b)
    best = min(times({"product": lambda: multiply(a, a)}, 1)["product"] for _ in range(5))
    return 2 * size**3 / best


def memory_bandwidth(megabytes: int) -> float:
    """Bytes read and written a second by an elementwise operation on an array of that size, in place."""
    array = [jnp.ones(megabytes * 250_000, jnp.float32)]
    scale = jax.jit(lambda a: a * 1.0001, donate_argnums=0)

    def call() -> jax.Array:
        array[0] = scale(array[0])
        return array[0]

    return 2 * array[0].nbytes / times({"scale": call}, 10)["scale"]


def arithmetic(function: Callable, *arguments: Any) -> float:
    """Floating-point operations of all convolutions and matrix products of a call: two for a multiply-add."""
    return _operations(jax.make_jaxpr(function)(*arguments).jaxpr)


def _operations(jaxpr: core.Jaxpr) -> float:
    total = 0.0
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        shapes: list[Any] = [v.aval for v in (*equation.invars[:2], *equation.outvars[:1])]
        a, b, out = (shapes + [None] * 3)[:3]
        if name in _CONVOLUTIONS:
            kernel, y = {"conv_forward": (b, out), "conv_input_gradient": (b, a), "conv_weight_gradient": (out, b)}[
                name
            ]
            total += 2 * y.size * kernel.shape[0] * kernel.shape[1]
        elif name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            total += 2 * out.size * np.prod([a.shape[axis] for axis in contracted])
        inner = sum(_operations(sub) for sub in core.jaxprs_in_params(equation.params))
        total += inner * equation.params.get("length", 1)
    return total


def temporary_memory(compiled: Any) -> int:
    """Bytes that a compiled program needs besides its arguments and results."""
    return compiled.memory_analysis().temp_size_in_bytes
