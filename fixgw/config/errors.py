"""What is wrong in a configuration: every problem at once, each with its place and what was expected."""

from __future__ import annotations

from dataclasses import dataclass

_VALUE_SHOWN = 80
_SECRET_WORDS = ("secret", "password", "private", "api_key", "apikey", "token", "credentials", "passphrase")
# of an unknown key, which may be anything
_MORE_SECRET_WORDS = ("key", "pass", "pwd", "auth", "sign", "mnemonic", "priv", "cred")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong. `file` is relative to the configuration's folder; `key` is dotted ("limits.max_open_orders");
    `value` is the value found as TOML-like text, "" when it is missing or must not be shown (credentials)."""

    file: str
    key: str
    value: str
    expected: str

    def __str__(self) -> str:
        value = f" = {self.value}" if self.value else ""
        key = f"{self.key}{value}: " if self.key else ""
        return f"{self.file}: {key}{self.expected}"

    def as_dict(self) -> dict[str, str]:
        """For --json."""
        return {"file": self.file, "key": self.key, "value": self.value, "expected": self.expected}


class ConfigErrors(Exception):
    """The configuration cannot be used. Recover by mending the files; `problems` is never empty."""

    def __init__(self, problems: list[Problem]) -> None:
        assert problems
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def is_secret(key: str) -> bool:
    """May a value under this (dotted) key be a credential?"""
    return any(word in key.lower() for word in _SECRET_WORDS)


def shown_of_unknown(key: str, value: object) -> str:
    """The value of a key that nobody knows: a number or a flag; a table or a list by its size. No text whatever its key and its
    looks are: a venue's memo, a URL with a password and a name look alike."""
    if is_secret(key) or any(word in key.lower() for word in _MORE_SECRET_WORDS):
        return ""
    if isinstance(value, dict):
        return f"a table of {len(value)}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return shown(value) if isinstance(value, bool | int | float) else ""


def shown(value: object) -> str:
    """A value as it may be printed, cut to a sane length."""
    text = "true" if value is True else "false" if value is False else repr(value)
    return text if len(text) <= _VALUE_SHOWN else f"{text[:_VALUE_SHOWN]}..."
