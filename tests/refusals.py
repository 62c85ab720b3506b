"""What a call says when it refuses its input."""

import pytest

from fprior.errors import InputError


def refusal(call, *arguments, error=InputError, **keywords) -> str:
    """The message, of one line, of the error that the call raises."""
    with pytest.raises(error) as caught:
        call(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)
