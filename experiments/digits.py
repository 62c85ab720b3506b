"""Not only DNA: the prior over two axes, on pictures of handwritten digits, in a training loop of one's own.

    python -m experiments.digits [--seeds=3] [--workdir=runs/digits]

A scanned digit (8 × 8 pixels, scikit-learn's `load_digits`), twice as large, lies anywhere on a canvas of 32 × 32 among
pieces of other digits and noise; a small network says which digit it is. It is trained with the Fourier attribution
prior over both axes of its gradient × input and without, from the same parameters on the same canvases, for every seed.
Of the library this takes `fourier_prior` and `input_gradient`; network, loss and loop are here. The directory must not
exist; it holds, all at the end or nothing:

    digits.json     settings, hardware, and every measure of every model, on canvases of digits left out of training
    digits.html     the same as one page, with attributions side by side

Time: about 2 minutes of processor time. Expected: importance moves into the square and to lower frequencies, by little;
accuracy stays.
"""

import dataclasses
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from tqdm import tqdm

from experiments.digits_canvases import Canvases, Clutter, draw
from experiments.digits_page import WITH, WITHOUT, report
from experiments.launch import launch, seconds_since_start
from experiments.measure import hardware
from fprior import fourier_prior, input_gradient
from fprior.errors import InputError
from fprior.files import new_directory, write_atomically, write_json
from fprior.metrics.statistics import Summary, describe

CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run depends on besides its seeds."""

    clutter: Clutter = dataclasses.field(default_factory=Clutter)
    test_digits: int = 597  # of the 1,797; the others train
    filters: tuple[int, ...] = (16, 32, 32)
    batch_size: int = 64
    steps: int = 800
    learning_rate: float = 3e-3
    prior_weight: float = 1.0
    freq_limit: float = 4.0  # cycles per canvas: half a digit, 8 pixels, is the shortest thing to be seen
    smooth_sigma: float = 1.0  # pixels


class Classifier(nn.Module):
    """Convolutions with averages over 2 × 2 pixels between them, then the strongest response anywhere."""

    filters: tuple[int, ...]

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images[..., None]
        for i, filters in enumerate(self.filters):
            if i:
                x = nn.avg_pool(x, (2, 2), strides=(2, 2))
            x = nn.relu(nn.Conv(filters, (3, 3) if i else (5, 5))(x))
        x = x.reshape(len(x), -1, self.filters[-1])
        # By index: compiled, the derivative of jnp.max may compare a maximum with values rounded differently.
        strongest = jnp.take_along_axis(x, jnp.argmax(x, axis=1, keepdims=True), axis=1)[:, 0]
        return nn.Dense(CLASSES)(strongest)


def main(workdir: str | None, seeds: str | None) -> None:
    numbers = seeds_of("3" if seeds is None else seeds)
    workdir = workdir or "runs/digits"
    try:
        with new_directory(workdir) as path:
            result, page = run(Settings(), numbers)
            write_json(path / "digits.json", result)
            write_atomically(path / "digits.html", page)
    except FileExistsError as error:
        raise InputError(f"--workdir={workdir}: exists already; delete it or choose another") from error
    except OSError as error:
        raise InputError(f"--workdir={workdir}: cannot be written ({error.strerror}); choose another") from error
    for name, values in result["measures"].items():
        print(f"{name}: " + "; ".join(f"{kind} {np.mean(values[kind]):.3f}" for kind in (WITHOUT, WITH)))
    print(f"{workdir}/digits.html after {seconds_since_start():.0f} s")


def seeds_of(text: str) -> range:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 100):
        raise InputError(f"--seeds (={text}) must be how many models are trained of each kind, from 1 to 100")
    return range(int(text))


def run(settings: Settings, seeds: range) -> tuple[dict[str, Any], str]:
    """Trains all models; the result, as JSON, and the page."""
    digits, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(digits))  # one split, whatever the seeds
    digits, labels = digits[order].reshape(-1, 8, 8) / 16, labels[order]
    held_out = digits[: settings.test_digits], labels[: settings.test_digits]
    rest = digits[settings.test_digits :], labels[settings.test_digits :]
    test = draw(*held_out, np.arange(settings.test_digits), np.random.default_rng(1), settings.clutter)
    found: dict[str, dict[str, list[float]]] = {}
    shown: dict[str, np.ndarray] = {}
    undefined = 0
    with tqdm(total=2 * len(seeds) * settings.steps, desc="steps", disable=None, file=sys.stderr) as progress:
        for seed in seeds:
            for kind, weight in ((WITHOUT, 0.0), (WITH, settings.prior_weight)):
                params = train(rest, seed, weight, settings, progress)
                measures, tracks = measure(params, test, settings)
                shown.setdefault(kind, tracks)  # of the first seed
                for name, summary in measures.items():
                    found.setdefault(name, {}).setdefault(kind, []).append(float(summary.mean))
                    undefined += int(summary.undefined)
    result = {
        "command": " ".join(["python", "-m", "experiments.digits", *sys.argv[1:]]),
        "settings": dataclasses.asdict(settings),
        "hardware": hardware(),
        "images": {"train": len(rest[0]), "test": len(test.images)},
        "ink_inside": float(np.mean(test.share_inside(test.images))),
        "undefined": undefined,
        "measures": found,
    }
    return result, report(result, test, shown)


def attribution_track(
    apply: Callable[[jax.Array], Any], images: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """|gradient × input| of the digit's logit less the mean of all ten, `(N, H, W)`, and the logits."""

    def objective(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = apply(images)
        of_digit = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
        return jnp.sum(of_digit - jnp.mean(logits, axis=1)), logits

    attribution, logits = input_gradient(objective, images, has_aux=True)
    return jnp.abs(attribution), logits


def train(
    digits: tuple[np.ndarray, np.ndarray], seed: int, prior_weight: float, settings: Settings, progress: tqdm
) -> Any:
    """The parameters after all steps. Canvases and first parameters follow from the seed, with or without prior."""
    model, optimizer = Classifier(settings.filters), optax.adam(settings.learning_rate)
    penalty = partial(fourier_prior, freq_limit=settings.freq_limit, smooth_sigma=settings.smooth_sigma, axes=2)

    def loss_of(params: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
        if not prior_weight:
            logits = model.apply(params, images)
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))
        track, logits = attribution_track(partial(model.apply, params), images, labels)
        task = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))
        return task + prior_weight * jnp.mean(penalty(track))

    @jax.jit
    def step(params: Any, state: Any, images: jax.Array, labels: jax.Array) -> tuple[Any, Any, jax.Array]:
        loss, gradient = jax.value_and_grad(loss_of)(params, images, labels)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, loss

    rng = np.random.default_rng([2, seed])
    params = model.init(jax.random.key(seed), jnp.zeros((1, settings.clutter.canvas, settings.clutter.canvas)))
    state = optimizer.init(params)
    for _ in range(settings.steps):
        batch = draw(*digits, rng.integers(len(digits[0]), size=settings.batch_size), rng, settings.clutter)
        params, state, loss = step(params, state, batch.images, batch.labels)
        progress.update()
    if not np.isfinite(loss):
        raise InputError(f"seed {seed}: the loss is {loss}; lower Settings.learning_rate (={settings.learning_rate})")
    return params


def measure(params: Any, test: Canvases, settings: Settings) -> tuple[dict[str, Summary], np.ndarray]:
    """Measures over the test images, and the images' tracks `(N, H, W)`."""
    model = Classifier(settings.filters)
    of = jax.jit(lambda images, labels: attribution_track(partial(model.apply, params), images, labels))
    track, logits = of(test.images, test.labels)
    # The prior itself with a hard cut, on the track as it is.
    high = fourier_prior(track, freq_limit=settings.freq_limit, softness=None, smooth_sigma=0, axes=2)
    measures = {
        "accuracy": np.argmax(logits, axis=1) == test.labels,
        "share of importance inside the frame": test.share_inside(np.asarray(track)),
        "high-frequency share of importance": np.asarray(high),
    }
    return {name: describe(values) for name, values in measures.items()}, np.asarray(track)


if __name__ == "__main__":
    launch(main, needs_config=False, workdir="directory of the run; it must not exist", seeds="models of each kind")
