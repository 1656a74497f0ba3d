r"""Tab-separated text, as pandas, ``csv`` and spreadsheets read it.

A row is a line and a cell ends at a tab, so that ``cut`` and ``awk`` read it too. A cell that holds a quote is put in
quotes, and its own quotes are doubled (RFC 4180). In text from elsewhere a quote never reaches beyond its row: one that
does not close would swallow the rows that follow.
"""

import re

_QUOTED = re.compile(r'"((?:[^"]|"")*)"(?=\t|$)')
_ENDS = str.maketrans("\t\r\n", "   ")


def tsv_cell(text: str) -> str:
    r"""Write a cell; its quotes are kept, its tabs and line ends become blanks.

    Examples
    --------
    >>> tsv_cell('5" a'), tsv_cell("a\nb")
    ('"5"" a"', 'a b')
    """
    text = unbroken(text)
    if '"' not in text:
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def unbroken(text: str) -> str:
    """Replace tabs and line ends, which would end a cell, by blanks."""
    return text.translate(_ENDS) if not text.isprintable() else text


def tsv_cells(line: str) -> list[str]:
    r"""Read the cells of a line.

    Parameters
    ----------
    line : str
        Without its end.

    Returns
    -------
    list of str
        A quote has a meaning only where it begins a cell and closes at the end of one; others are part of the text.

    Raises
    ------
    ValueError
        A cell begins with a quote that is not closed.

    Examples
    --------
    >>> tsv_cells('"5"" a"\tb"c\t"d" e')
    ['5" a', 'b"c', '"d" e']
    """
    if '"' not in line:
        return line.split("\t")
    cells: list[str] = []
    position = 0
    while position <= len(line):
        if quoted := _QUOTED.match(line, position):
            cells.append(quoted[1].replace('""', '"'))
            end = quoted.end()
        else:
            end = line.find("\t", position)
            end = len(line) if end < 0 else end
            cell = line[position:end]
            if cell.startswith('"') and cell.count('"') % 2:
                raise ValueError(cell)
            cells.append(cell)
        position = end + 1
    return cells
