"""The letters of a mangled Rust symbol, read one by one within bounds; what is said is collected."""

from __future__ import annotations

from collections.abc import Callable

MAX_NAME = 2048
"""Characters of a name: references back can make a short symbol a name of any length."""

MAX_DEPTH = 96
"""How deep paths, types and constants may lie in each other."""

MAX_STEPS = 4096
"""Paths, types and constants that are read, repetitions included."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class MalformedError(Exception):
    """The symbol is not what it seemed to be, or it passes a bound."""


class Letters:
    """A place in ``text``, and what was said so far. Every method raises MalformedError at worst."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.out: list[str] = []
        self.size = 0
        self.muted = 0
        self.depth = 0
        self.steps = 0

    def peek(self) -> str:
        """Return the next letter without taking it; empty at the end."""
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        """Take the next letter."""
        if self.at >= len(self.text):
            raise MalformedError
        self.at += 1
        return self.text[self.at - 1]

    def eat(self, char: str) -> bool:
        """Take the next letter if it is ``char``."""
        if self.peek() != char:
            return False
        self.at += 1
        return True

    def say(self, text: str) -> None:
        """Add to the name, unless muted."""
        if self.muted:
            return
        self.size += len(text)
        if self.size > MAX_NAME:
            raise MalformedError
        self.out.append(text)

    def base62(self) -> int:
        """Take a number to base 62 and its underscore."""
        if self.eat("_"):
            return 0
        value = 0
        while not self.eat("_"):
            digit = _DIGITS.find(self.take())
            value = value * 62 + digit
            if digit < 0 or value >= 1 << 64:
                raise MalformedError
        return value + 1

    def optional(self, tag: str) -> int:
        """Take a number behind ``tag``; 0 if there is none."""
        return self.base62() + 1 if self.eat(tag) else 0

    def identifier(self) -> str:
        """Take a name behind its length; one in punycode is left as it is."""
        self.eat("u")
        digits = self.take()
        if digits not in "0123456789":
            raise MalformedError
        while digits != "0" and len(digits) < 5 and self.peek() in tuple("0123456789"):
            digits += self.take()
        self.eat("_")
        start, self.at = self.at, self.at + int(digits)
        if self.at > len(self.text):
            raise MalformedError
        return self.text[start : self.at]

    def deeper(self, rule: Callable[[], object]) -> None:
        """Follow ``rule`` one level down."""
        self.depth += 1
        self.steps += 1
        if self.depth > MAX_DEPTH or self.steps > MAX_STEPS:
            raise MalformedError
        rule()
        self.depth -= 1

    def each(self, item: Callable[[], None], between: str = ", ") -> int:
        """Follow ``item`` up to the end of the list; say how often."""
        count = 0
        while not self.eat("E"):
            if count:
                self.say(between)
            item()
            count += 1
        return count

    def back(self, again: Callable[[], object]) -> None:
        """Follow ``again`` at an earlier place, then go on here."""
        here = self.at - 1
        target = self.base62()
        if target >= here:
            raise MalformedError
        if not self.muted:  # nothing would be seen of it, and it was read once already
            here, self.at = self.at, target
            self.deeper(again)
            self.at = here

    def quietly(self, rule: Callable[[], None]) -> None:
        """Follow ``rule`` without saying anything."""
        self.muted += 1
        rule()
        self.muted -= 1

    def digits(self) -> str:
        """Take the digits of a constant, to base 16, and their underscore."""
        start = self.at
        while not self.eat("_"):
            if self.take() not in "0123456789abcdef":
                raise MalformedError
        return self.text[start : self.at - 1]
