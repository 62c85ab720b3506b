"""The profile model: how many reads end at each base, for each of several tasks and strands."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from fprior.models.layers import KERNEL_INIT, Conv, Dense, bias_init

CONTROLS = ("none", "shared", "matched")
CONTROL_COUNTS = ("log", "raw")


class ProfileOutputs(NamedTuple):
    """`profile_logits` `(B, T, O, S)`, whose softmax over the O positions is where reads end, and `log_counts`
    `(B, T, S)`, the logarithm of 1 + how many there are."""

    profile_logits: jax.Array
    log_counts: jax.Array


class ProfileModel(nn.Module):
    """Dilated convolutions, each reading the sum of all before it, with a profile head and a count head.

    The trunk's convolutions (convolution → ReLU) keep only the positions at which no padding would be seen, so the
    profile is shorter than the input: with the default sizes 1,346 bases give 1,000 positions. The heads read the
    last convolution alone. The profile head is a convolution to one track a task and strand; the count head a dense
    layer on the mean over positions. Both then mix, task by task, the strands of the task and its controls.

    Attributes:
      num_tasks: T.
      num_strands: S, 1 or 2.
      controls: control tracks that come with x: `"matched"` (those of each task), `"shared"` (one set of strands
        for all tasks) or `"none"`.
      output_length: O, positions of the profile, in the middle of the input.
      filters: of every convolution of the trunk.
      first_width: kernel width of the first convolution.
      width: kernel width of the others.
      dilations: of each convolution, the first included.
      profile_width: kernel width of the profile head.
      control_counts: what the count head reads of the controls: `"log"` of 1 + their sum over positions, or the sum
        itself, `"raw"`, as in the authors' code.
      dtype: in which the trunk is computed, such as `jnp.bfloat16`; None is x's own. The heads are float32 at least.

    Source: Tseng et al. 2020, supplementary methods 2.2; BPNet, Avsec et al., Nature Genetics 2021.
    """

    num_tasks: int = 1
    num_strands: int = 2
    controls: str = "none"
    output_length: int = 1000
    filters: int = 64
    first_width: int = 21
    width: int = 3
    dilations: Sequence[int] = (1, 2, 4, 8, 16, 32, 64)
    profile_width: int = 75
    control_counts: str = "log"
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, controls: jax.Array | None = None, *, train: bool = False) -> ProfileOutputs:
        """The outputs for one-hot x `(B, L, 4)` and control counts `(B, C, O, S)`.

        C is T for matched controls and 1 for a shared one. Training and evaluation are the same function: there are
        neither batch statistics nor dropout.

        Raises:
          ValueError: L is too short for the output, or the controls do not fit.
        """
        self._check(x, controls)
        if self.dtype is not None:
            x = x.astype(self.dtype)
        trunk = self._trunk(x)
        trunk = trunk.astype(jnp.promote_types(trunk.dtype, jnp.float32))
        strands = (self.num_tasks, self.num_strands)

        extra = (trunk.shape[1] - self.output_length - self.profile_width + 1) // 2
        middle = trunk[:, extra : extra + self.output_length + self.profile_width - 1]
        tracks = self._convolve(middle, self.num_tasks * self.num_strands, self.profile_width, name="profile")
        tracks = tracks.reshape(*tracks.shape[:2], *strands).swapaxes(1, 2)
        counts = Dense(self.num_tasks * self.num_strands, name="counts")(jnp.mean(trunk, axis=1))
        counts = counts.reshape(-1, self.num_tasks, 1, self.num_strands)

        if controls is not None:
            controls = jnp.broadcast_to(controls, tracks.shape).astype(tracks.dtype)
            totals = jnp.sum(controls, axis=2, keepdims=True)
            totals = jnp.log1p(totals) if self.control_counts == "log" else totals
            tracks = jnp.concatenate([tracks, controls], axis=-1)
            counts = jnp.concatenate([counts, totals], axis=-1)
        profile_logits = Mixing(self.num_strands, name="profile_logits")(tracks)
        log_counts = Mixing(self.num_strands, name="log_counts")(counts)[:, :, 0]
        return ProfileOutputs(profile_logits, log_counts)

    def shortest_input(self) -> int:
        """The shortest input, in bases, that gives the profile its length."""
        widths = [self.first_width] + [self.width] * (len(self.dilations) - 1)
        lost = sum((width - 1) * dilation for width, dilation in zip(widths, self.dilations, strict=True))
        return self.output_length + self.profile_width - 1 + lost

    def _trunk(self, x: jax.Array) -> jax.Array:
        total = x
        for i, dilation in enumerate(self.dilations):
            width = self.width if i else self.first_width
            out = nn.relu(self._convolve(total, self.filters, width, dilation))
            edge = (total.shape[1] - out.shape[1]) // 2  # widths are odd: as much is lost on either side
            total = out if i == 0 else total[:, edge : edge + out.shape[1]] + out
        return out

    def _convolve(
        self, x: jax.Array, filters: int, width: int, dilation: int = 1, name: str | None = None
    ) -> jax.Array:
        return Conv(filters, width, dilation, name=name)(x)

    def _check(self, x: jax.Array, controls: jax.Array | None) -> None:
        if self.controls not in CONTROLS or self.control_counts not in CONTROL_COUNTS:
            raise ValueError(
                f"controls (={self.controls!r}) must be one of {CONTROLS}, control_counts (={self.control_counts!r})"
                f" one of {CONTROL_COUNTS}"
            )
        if not self.dilations or self.first_width % 2 == 0 or self.width % 2 == 0 or self.profile_width % 2 == 0:
            raise ValueError(
                f"dilations (={self.dilations}) must not be empty, first_width (={self.first_width}), width"
                f" (={self.width}) and profile_width (={self.profile_width}) must be odd"
            )
        if x.shape[1] < self.shortest_input():
            raise ValueError(
                f"x has length {x.shape[1]}; output_length (={self.output_length}) with these widths and dilations"
                f" needs at least {self.shortest_input()}"
            )
        sets = {"none": 0, "shared": 1, "matched": self.num_tasks}[self.controls]
        wanted = (x.shape[0], sets, self.output_length, self.num_strands)
        given = None if controls is None else controls.shape
        if given != (wanted if sets else None):
            raise ValueError(
                f"controls (shape {given}) must be {wanted if sets else None} for controls={self.controls!r} and x of"
                f" shape {x.shape}"
            )


class Mixing(nn.Module):
    """For each task apart, a linear map of the last axis: `(B, T, O, I)` to `(B, T, O, features)`."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        _, tasks, _, inputs = x.shape

        def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
            return jax.vmap(lambda key: KERNEL_INIT(key, shape[1:], dtype))(jax.random.split(key, tasks))

        kernel = self.param("kernel", init, (tasks, inputs, self.features))
        bias = self.param("bias", bias_init(inputs), (tasks, 1, self.features))
        return jnp.einsum("btoi,tif->btof", x, kernel.astype(x.dtype)) + bias.astype(x.dtype)
