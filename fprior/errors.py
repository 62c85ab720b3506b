"""The one exception that means "the input is wrong", as opposed to a bug in this package."""


class InputError(ValueError):
    """A file, an argument or a config field that cannot be used as it is.

    Its message is a single line that names the argument or file, the value and the remedy; the command lines
    print it without a traceback and exit with status 2.
    """


def one_line(text: object) -> str:
    """A text, or what another library's error says, on one line, without characters that cannot be printed."""
    joined = " ".join(str(text).split())
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in joined)
