"""The digits example at a tiny size: canvases, a pair of models, the page, and what it refuses."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import digits
from experiments.digits import Classifier, Settings, attribution_track
from experiments.digits_canvases import SIDE, Clutter, draw
from fprior.errors import InputError

TINY = Settings(filters=(2, 3), steps=3, batch_size=8, test_digits=12)
STAMPS = np.random.default_rng(0).uniform(0.5, 1, (5, 8, 8))


def canvases(**clutter):
    return draw(STAMPS, np.arange(5), np.array([3, 1, 4]), np.random.default_rng(0), Clutter(**clutter))


def test_the_digit_lies_in_its_square_and_nowhere_else():
    clean = canvases(pieces=0, noise=0)
    inside = clean.inside()
    np.testing.assert_array_equal(inside.sum(axis=(1, 2)), SIDE**2)
    np.testing.assert_array_equal(clean.images > 0, inside)
    np.testing.assert_allclose(
        clean.images[inside].reshape(3, -1), np.kron(STAMPS[[3, 1, 4]], np.ones((2, 2))).reshape(3, -1)
    )
    np.testing.assert_array_equal(clean.labels, [3, 1, 4])
    np.testing.assert_allclose(clean.share_inside(clean.images), 1)


def test_clutter_lies_anywhere_and_the_same_numbers_draw_the_same():
    cluttered, again, clean = canvases(noise=0), canvases(noise=0), canvases(pieces=0, noise=0)
    np.testing.assert_array_equal(cluttered.images, again.images)
    assert np.any((cluttered.images > 0) & ~cluttered.inside())
    assert np.all(cluttered.images >= clean.images)  # the darker of two inks
    noisy = canvases().images
    assert noisy.min() == 0 and noisy.max() == 1 and np.mean(noisy > 0) > np.mean(cluttered.images > 0)


def test_the_attribution_is_each_canvas_own():
    images = jnp.asarray(canvases().images)
    model, labels = Classifier((2, 3)), jnp.array([3, 1, 4])
    params = model.init(jax.random.key(0), images)
    track, logits = attribution_track(lambda x: model.apply(params, x), images, labels)
    np.testing.assert_allclose(logits, model.apply(params, images), rtol=1e-5)
    gradient = jax.grad(lambda x: model.apply(params, x)[0, 1] - jnp.mean(model.apply(params, x)))(images[1:2])
    np.testing.assert_allclose(track[1], jnp.abs(gradient * images[1:2])[0], atol=1e-6)


def test_a_pair_of_models_and_its_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(digits, "Settings", lambda: TINY)
    digits.main(str(tmp_path / "run"), "2")
    result = json.loads((tmp_path / "run" / "digits.json").read_text())
    assert result["settings"] == json.loads(json.dumps(dataclasses.asdict(TINY)))
    assert result["images"] == {"train": 1785, "test": 12}
    for values in result["measures"].values():
        for of_seeds in values.values():
            assert len(of_seeds) == 2 and all(0 <= value <= 1 for value in of_seeds)
    high = result["measures"]["high-frequency share of importance"]
    assert high["no prior"] != high["Fourier prior"] and len(set(high["no prior"])) == 2
    page = (tmp_path / "run" / "digits.html").read_text()
    assert all(name in page for name in result["measures"]) and page.count("<img") == 1
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "digits.html" in capsys.readouterr().out
    with pytest.raises(InputError, match="exists already"):
        digits.main(str(tmp_path / "run"), None)


@pytest.mark.parametrize("seeds", ["0", "-1", "two", "101", ""])
def test_wrong_seeds_are_refused(tmp_path, seeds):
    with pytest.raises(InputError, match=r"--seeds \(="):
        digits.main(str(tmp_path / "run"), seeds)
    assert not list(tmp_path.iterdir())
