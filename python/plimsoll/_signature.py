"""Signatures of operations for inspect.signature, read from the text of their records."""

from __future__ import annotations

import ast
import inspect

POSITIONAL_ONLY: inspect._ParameterKind = inspect.Parameter.POSITIONAL_ONLY
EITHER: inspect._ParameterKind = inspect.Parameter.POSITIONAL_OR_KEYWORD


def parse(text: str) -> inspect.Signature:
    """Reads ``name(a: type, /, b: type = default, *, c: ...) -> type``; annotations stay text.

    Defaults are evaluated among the names of plimsoll.core.
    """
    import plimsoll.core as core

    function = ast.parse(f"def {text}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args

    def parameter(
        node: ast.arg, kind: inspect._ParameterKind, default: ast.expr | None
    ) -> inspect.Parameter:
        value = inspect.Parameter.empty
        if default is not None:
            code = compile(ast.Expression(default), "<signature>", "eval")
            value = eval(code, dict(vars(core)))
        annotation = ast.unparse(node.annotation) if node.annotation else inspect.Parameter.empty
        return inspect.Parameter(node.arg, kind, default=value, annotation=annotation)

    positional = [*arguments.posonlyargs, *arguments.args]
    missing = [None] * (len(positional) - len(arguments.defaults))
    found = []
    for i, (node, default) in enumerate(
        zip(positional, [*missing, *arguments.defaults], strict=True)
    ):
        only = i < len(arguments.posonlyargs)
        found.append(parameter(node, POSITIONAL_ONLY if only else EITHER, default))
    if arguments.vararg:
        found.append(parameter(arguments.vararg, inspect.Parameter.VAR_POSITIONAL, None))
    for node, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(parameter(node, inspect.Parameter.KEYWORD_ONLY, default))
    returns = ast.unparse(function.returns) if function.returns else inspect.Signature.empty
    return inspect.Signature(found, return_annotation=returns)
