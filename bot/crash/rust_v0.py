"""The grammar of the ``v0`` mangling of Rust: a method for each rule, tables of their tags.

Constants of generic arguments are numbers, truth values, characters and strings; a symbol with
any other counts as malformed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from bot.crash.letters import MAX_DEPTH, Letters, MalformedError

_BASIC: Mapping[str, str] = {
    "a": "i8", "b": "bool", "c": "char", "d": "f64", "e": "str", "f": "f32", "h": "u8",
    "i": "isize", "j": "usize", "l": "i32", "m": "u32", "n": "i128", "o": "u128", "p": "_",
    "s": "i16", "t": "u16", "u": "()", "v": "...", "x": "i64", "y": "u64", "z": "!",
}  # fmt: skip
_CHARS: Mapping[str, str] = {
    "\0": r"\0", "\t": r"\t", "\n": r"\n", "\r": r"\r", "'": r"\'", "\\": r"\\",
}  # fmt: skip
_SPECIAL: Mapping[str, str] = {"C": "closure", "S": "shim"}


class Symbol(Letters):
    """One pass over a v0 symbol, its first two characters taken off; positions count from there."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.bound = 0
        self.value = False

    def name(self) -> str:
        """Return the name of the whole symbol."""
        self.path(value=True)
        name = "".join(self.out)
        if self.peek().isupper():  # the crate that the generic code was made for
            self.muted += 1
            self.path(value=False)
        if self.peek() not in ("", "."):
            raise MalformedError
        return name

    # What the language is made of: each rule starts behind its tag.

    def enter(self, rules: Mapping[str, Callable[[Symbol], None]], *, value: bool) -> None:
        """Follow the rule of the next tag; ``value``: what is named is a value, not a type."""
        rule = rules.get(self.take())
        if rule is None:
            raise MalformedError
        self.value = value
        self.deeper(lambda: rule(self))

    def path(self, *, value: bool = False) -> None:
        """Read a path: where something is."""
        self.enter(_PATHS, value=value)

    def type_(self) -> None:
        """Read a type; a path is one too."""
        if self.peek() in _BASIC:
            self.say(_BASIC[self.take()])
        else:
            self.enter(_TYPES if self.peek() in _TYPES else _PATHS, value=False)

    def const(self, *, value: bool = False) -> None:
        """Read a constant; ``value``: it stands where an expression may stand."""
        self.enter(_CONSTS, value=value)

    # Paths.

    def path_again(self) -> None:
        """Read ``B number``: a path that stood before."""
        value = self.value
        self.back(lambda: self.path(value=value))

    def crate(self) -> None:
        """Read ``C name``: the root of a crate."""
        self.optional("s")
        self.say(self.identifier())

    def nested(self) -> None:
        """Read ``N space path name``: something within a path; closures are only numbered."""
        value, space = self.value, self.take()
        if not space.isalpha():
            raise MalformedError
        self.path(value=value)
        number, name = self.optional("s"), self.identifier()
        if space.isupper():
            name = f":{name}" if name else ""
            self.say(f"::{{{_SPECIAL.get(space, space)}{name}#{number}}}")
        elif name:
            self.say(f"::{name}")

    def where(self) -> None:
        """Read where an implementation is; nobody writes that."""
        self.optional("s")
        self.quietly(self.path)

    def inherent(self) -> None:
        """Read ``M where type``: a type's own implementation."""
        self.where()
        self.say("<")
        self.type_()
        self.say(">")

    def trait_impl(self) -> None:
        """Read ``X where type path``: a trait's implementation for a type."""
        self.where()
        self.trait()

    def trait(self) -> None:
        """Read ``Y type path``: a type seen as a trait."""
        self.say("<")
        self.type_()
        self.say(" as ")
        self.path()
        self.say(">")

    def generic(self) -> None:
        """Read ``I path argument… E``."""
        value = self.value
        self.path(value=value)
        self.say("::<" if value else "<")
        self.each(self.argument)
        self.say(">")

    def argument(self) -> None:
        """Read a generic argument: a lifetime, a constant or a type."""
        if self.eat("L"):
            self.lifetime(self.base62())
        elif self.eat("K"):
            self.const()
        else:
            self.type_()

    def lifetime(self, number: int) -> None:
        """Say a lifetime: 0 has no name, others count from the innermost binder."""
        depth = self.bound - number
        if depth < 0:
            raise MalformedError
        letter = chr(ord("a") + depth) if depth < 26 else f"_{depth}"
        self.say(f"'{letter}" if number else "'_")

    # Types.

    def type_again(self) -> None:
        """Read ``B number``: a type that stood before."""
        self.back(self.type_)

    def reference(self, word: str) -> None:
        """Read ``R`` or ``Q``, a lifetime or none, and the type that is referred to."""
        self.say("&")
        number = self.base62() if self.eat("L") else 0
        if number:
            self.lifetime(number)
            self.say(" ")
        self.say(word)
        self.type_()

    def pointer(self, word: str) -> None:
        """Read ``P type`` or ``O type``."""
        self.say(word)
        self.type_()

    def slice_(self) -> None:
        """Read ``S type``."""
        self.say("[")
        self.type_()
        self.say("]")

    def array(self) -> None:
        """Read ``A type constant``."""
        self.say("[")
        self.type_()
        self.say("; ")
        self.const(value=True)
        self.say("]")

    def tuple_(self) -> None:
        """Read ``T type… E``."""
        self.say("(")
        self.say(",)" if self.each(self.type_) == 1 else ")")

    def binder(self, rule: Callable[[], object]) -> None:
        """Read ``G number`` or nothing, then follow ``rule`` with that many lifetimes more."""
        count = self.optional("G")
        if count > MAX_DEPTH:
            raise MalformedError
        self.bound += count
        if count:
            self.say("for<")
            for number in range(count, 0, -1):
                self.lifetime(number)
                self.say(", " if number > 1 else "> ")
        rule()
        self.bound -= count

    def function(self) -> None:
        """Read ``F`` binder signature: the type of a function."""
        self.binder(self.signature)

    def signature(self) -> None:
        """Read ``U`` if unsafe, ``K abi`` if foreign, ``type… E``, and the type of the result."""
        self.say("unsafe " if self.eat("U") else "")
        if self.eat("K"):
            abi = "C" if self.eat("C") else self.identifier().replace("_", "-")
            self.say(f'extern "{abi}" ')
        self.say("fn(")
        self.each(self.type_)
        self.say(")")
        if not self.eat("u"):
            self.say(" -> ")
            self.type_()

    def dynamic(self) -> None:
        """Read ``D`` binder ``trait… E`` lifetime: a trait object."""
        self.say("dyn ")
        self.binder(lambda: self.each(self.dynamic_trait, " + "))
        if not self.eat("L"):
            raise MalformedError
        number = self.base62()
        if number:
            self.say(" + ")
            self.lifetime(number)

    def dynamic_trait(self) -> None:
        """Read the path of a trait and its ``p name type`` bindings."""
        is_open = self.open_path()
        while self.eat("p"):
            self.say(", " if is_open else "<")
            is_open = True
            self.say(f"{self.identifier()} = ")
            self.type_()
        self.say(">" if is_open else "")

    def open_path(self) -> bool:
        """Read a path but leave its list of arguments open; say whether there is one."""
        if self.eat("B"):
            opened: list[bool] = []
            self.back(lambda: opened.append(self.open_path()))
            return any(opened)
        if not self.eat("I"):
            self.path()
            return False
        self.path()
        self.say("<")
        self.each(self.argument)
        return True

    # Constants.

    def const_again(self) -> None:
        """Read ``B number``: a constant that stood before."""
        value = self.value
        self.back(lambda: self.const(value=value))

    def number(self) -> None:
        """Read a number; one beyond 64 bits stays in base 16."""
        digits = self.digits().lstrip("0") or "0"
        self.say(str(int(digits, 16)) if len(digits) <= 16 else f"0x{digits}")

    def signed(self) -> None:
        """Read a number, ``n`` before it means minus."""
        self.say("-" if self.eat("n") else "")
        self.number()

    def truth(self) -> None:
        """Read a truth value."""
        digits = self.digits().lstrip("0")
        if digits not in ("", "1"):
            raise MalformedError
        self.say("true" if digits else "false")

    def letter(self) -> None:
        """Read a character."""
        code = int(self.digits().lstrip("0")[:7] or "0", 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise MalformedError
        char = chr(code)
        shown = char if char.isprintable() else f"\\u{{{code:x}}}"
        self.say(f"'{_CHARS.get(char, shown)}'")

    def words(self) -> None:
        """Read a string."""
        try:
            text = bytes.fromhex(self.digits()).decode()
        except ValueError:
            raise MalformedError from None
        shown = json.dumps(text, ensure_ascii=False)
        self.say(shown if self.value else f"{{*{shown}}}")

    def placeholder(self) -> None:
        """Read ``p``: a constant that was not known."""
        self.say("_")


_Rules = Mapping[str, Callable[[Symbol], None]]

_PATHS: _Rules = {
    "B": Symbol.path_again,
    "C": Symbol.crate,
    "I": Symbol.generic,
    "M": Symbol.inherent,
    "N": Symbol.nested,
    "X": Symbol.trait_impl,
    "Y": Symbol.trait,
}
_TYPES: _Rules = {
    "A": Symbol.array,
    "B": Symbol.type_again,
    "D": Symbol.dynamic,
    "F": Symbol.function,
    "O": lambda symbol: symbol.pointer("*mut "),
    "P": lambda symbol: symbol.pointer("*const "),
    "Q": lambda symbol: symbol.reference("mut "),
    "R": lambda symbol: symbol.reference(""),
    "S": Symbol.slice_,
    "T": Symbol.tuple_,
}
_CONSTS: _Rules = {
    **dict.fromkeys("htmyoj", Symbol.number),
    **dict.fromkeys("aslxni", Symbol.signed),
    "B": Symbol.const_again,
    "b": Symbol.truth,
    "c": Symbol.letter,
    "e": Symbol.words,
    "p": Symbol.placeholder,
}
