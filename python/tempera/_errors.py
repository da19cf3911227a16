"""Errors, one class for each exit code of the command (docs: "Exit codes")."""


class Error(Exception):
    """Anything that Tempera refuses or cannot do; the message says what was expected and what was found."""

    exit_code = 70


class UsageError(Error, ValueError):
    """What was asked for does not exist, or does not fit together (exit code 64)."""

    exit_code = 64


class DataError(Error, ValueError):
    """Data or a file are not what they must be (exit code 65)."""

    exit_code = 65


class NoInputError(Error, FileNotFoundError):
    """A file or a named data set does not exist (exit code 66)."""

    exit_code = 66


class NumericalError(Error, ArithmeticError):
    """A number stopped being finite, or an estimate contradicts itself (exit code 70)."""

    exit_code = 70


class WriteError(Error, OSError):
    """A file could not be written; what was there before still is (exit code 74)."""

    exit_code = 74


class ConfigError(Error, ValueError):
    """Options that cannot be (exit code 78).

    violations: list of (option, value, constraint), every one that was found.
    """

    exit_code = 78
    violations = ()


class Interrupted(Error):
    """The work was stopped before anything of it was finished (exit code 130)."""

    exit_code = 130


class TemperaWarning(UserWarning):
    """Something that one should know of a result."""
