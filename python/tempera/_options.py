"""Options as keyword arguments: the same names as the command's, with _ for -, and texts by the same rules."""

import difflib
import os
from collections.abc import Mapping

import numpy as np

from . import _core
from ._errors import ConfigError


def text_of(value):
    """A value as the command line spells it."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    if isinstance(value, Mapping):
        return ",".join(f"{text_of(name)}={text_of(one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(text_of(one) for one in value)
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def texts(command, options):
    """Options of a command by their names; None leaves an option as it is. Raises ConfigError naming all there are not."""
    known = {option["name"] for option in _core.options[command]}
    given, violations = {}, []
    for name, value in options.items():
        option = name.replace("_", "-")
        if option not in known:
            near = difflib.get_close_matches(option, known, 1)
            hint = f"; did you mean {near[0].replace('-', '_')}?" if near else ""
            violations.append((name, text_of(value), "is no option" + hint))
        elif value is not None:
            given[option] = text_of(value)
    if violations:
        error = ConfigError("; ".join(f"{name} = {value}: {constraint}" for name, value, constraint in violations))
        error.violations = violations
        raise error
    return given


def table(command):
    """The options of a command as the lines of a docstring."""
    lines = []
    for option in _core.options[command]:
        name = option["name"].replace("-", "_")
        lines.append(f"    {name} ({option['kind']}; default {option['default'] or 'none'}): {option['help']}")
    return "\n".join(lines)
