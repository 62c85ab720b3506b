"""The fields of the default config, and configs with one of them changed."""

import ml_collections

from experiments.config import default_config

SECTIONS = [name for name, value in default_config().items() if isinstance(value, ml_collections.ConfigDict)]
FIELDS = [(section, name) for section in SECTIONS for name in default_config()[section]]


def changed(field: str, value: object) -> ml_collections.ConfigDict:
    config = default_config()
    config.data.dataset = "ctcf_gm12878"
    config.update_from_flattened_dict({field: value})
    return config
