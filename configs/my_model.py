"""A template for a model of your own: this file holds the model too, so that one copy is all you need.

    cp configs/my_model.py configs/NAME.py     # and name NAME instead of my_model below
    python -m experiments.train --config=configs/my_model.py --workdir=runs/my_model

Time: about 2 minutes on two CPU cores, with the shipped data set. Expected: validation auROC 0.95 or more.
Prior, training, evaluation, attribution and reports work on it as on the models of fprior.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from experiments.config import default_config
from experiments.models import model_config
from fprior.models.layers import Conv


class MyModel(nn.Module):
    """Any Flax module that maps one-hot sequences (B, L, 4) to logits (B, T).

    Called as `model(x, train=…)`; `train` is for dropout (rng stream "dropout") and batch statistics. `fprior`'s
    `Conv` has fast second derivatives, which a prior needs; `nn.Conv` works too. Batch normalisation has to be
    `fprior.models.layers.BatchNorm`, or set config.prior.attributed = "evaluation".
    """

    num_tasks: int = 1  # filled in from the data set, if there is a field of this name
    filters: int = 32
    width: int = 15

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        x = nn.relu(Conv(self.filters, self.width)(x))
        x = nn.relu(Conv(self.filters, self.width)(x))
        x = jnp.mean(x, axis=1) + jnp.max(x, axis=1)
        return nn.Dense(self.num_tasks)(x)


# Without Flax: two pure functions. Name them as
#     config.model = model_config("configs.my_model:apply", init="configs.my_model:init", filters=32)
def init(key: jax.Array, x: jax.Array, *, num_tasks: int, filters: int) -> dict[str, jax.Array]:
    """The parameters, for a batch like x."""
    kernel, out = jax.random.split(key)
    return {
        "kernel": jax.random.normal(kernel, (15, 4, filters)) / 8,
        "out": jax.random.normal(out, (filters, num_tasks)) / jnp.sqrt(filters),
    }


def apply(params: dict[str, jax.Array], x: jax.Array, *, num_tasks: int, filters: int) -> jax.Array:
    """Logits (B, T) of one-hot x (B, L, 4)."""
    hidden = jax.lax.conv_general_dilated(x, params["kernel"], (1,), "VALID", dimension_numbers=("NWC", "WIO", "NWC"))
    return jnp.mean(nn.relu(hidden), axis=1) @ params["out"]


def get_config():
    config = default_config()
    config.data.dataset = "ctcf_gm12878"
    config.data.input_length = 400
    config.data.jitter = 50
    # For profiles: outputs="profiles", with fields num_strands, controls and output_length if the model has them; it
    # returns (profile logits (B, T, O, S), log counts (B, T, S)), and is called as model(x, controls) if there are any.
    config.model = model_config("configs.my_model:MyModel", outputs="labels", filters=32, width=15)
    config.prior.freq_limit = 60.0  # 400 bases / 6.7, the shortest motif
    config.train.epochs = 30
    config.train.stop_after_epochs = 0
    return config
