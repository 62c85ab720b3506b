"""Names in files that come from elsewhere."""

from fprior.errors import InputError


def check_name(name: str, where: object, kind: str = "chromosome") -> str:
    """A name of that kind, after making sure that it has characters and that all of them can be printed.

    Others would break messages into lines, and NumPy drops NULs at the end of texts. Raises InputError, which begins
    with `where`: the file, and the line if there are any.
    """
    if not name or not name.isprintable():
        raise InputError(
            f"{where}: the {kind} name {name!r} is empty, or has a character that cannot be printed; correct it"
        )
    return name
