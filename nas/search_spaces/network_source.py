"""A network module that needs torch alone, written out to stand in an exported file."""

import ast
import inspect
from types import ModuleType


def inline(module: ModuleType, build: str) -> str:
    """`build_network()`, which returns the expression `build`, and the module without its imports.

    The module may import torch, Tensor, nn and Callable, and no name of the file that it goes into.
    """
    source = inspect.getsource(module)
    lines = source.splitlines()
    tree = ast.parse(source)
    head = tree.body[0]
    after_docstring = head.end_lineno or 0 if isinstance(head, ast.Expr) else 0
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    first = max([after_docstring, *(node.end_lineno or 0 for node in imports)])
    definition = (
        "def build_network() -> nn.Module:\n"
        '    """The network with fresh weights; `load` gives the trained one."""\n'
        f"    return {build}\n"
    )
    return definition + "\n\n" + "\n".join(lines[first:]).strip() + "\n"
