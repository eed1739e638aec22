"""Text tables of figures."""

from collections.abc import Callable, Iterable, Sequence


def format_table(
    lines: Iterable[Sequence[str]], *, align: Callable[[str, int], str] = str.rjust
) -> str:
    """Cells as aligned columns, two spaces apart, one line each.

    Args:
        lines: The cells of the header and of every row.
        align: Of all columns but the first, which is `str.ljust`. Defaults to
            `str.rjust`.
    """
    lines = list(lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = (
        [line[0].ljust(widths[0]), *map(align, line[1:], widths[1:])] for line in lines
    )
    return "\n".join("  ".join(row).rstrip() for row in rows)
