"""Names of userland functions and modules, cut to what is equal on every host and in every build.

Every runtime decorates the names that it prints: with numbers for closures, hashes, generic
arguments, versions and the directory of the installation. None of that may get into a signature.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

MAX_NAME = 200
"""Characters of a name that are kept."""

Swaps = tuple[tuple[re.Pattern[str], str], ...]


class Naming(NamedTuple):
    """How a runtime names things.

    ``function`` makes the stable name out of the printed one; ``module`` makes the package, crate
    or object out of the stable function, the file and the mapped object (each may be empty).
    """

    function: Callable[[str], str]
    module: Callable[[str, str, str], str | None]


_OPENING, _CLOSING = "<({[", ">)}]"

_ROOTS = re.compile(
    r"(?:file://)?(?:[A-Za-z]:(?=[/\\]))?(?:\.{1,2}/){0,8}"
    r"(?:(?:/home/[^/]{1,64}|/Users/[^/]{1,64}|/root|/usr/src/app|/usr/src|/usr/local|/usr/lib"
    r"|/opt|/srv|/app|/code|/workspace|/build|/src|/var/www/html|/var/www|/var/task|/tmp)(?=/))?"
)
_VARYING = re.compile(r"[0-9a-f._-]{0,8}[0-9][0-9a-f._-]{3,64}|current|releases?")
_INSTALLED = re.compile(
    r".{0,400}[/\\](?:site-packages|dist-packages|[Ll]ib(?:64)?[/\\]python\d[\d.]{0,5}(?:\.zip)?)[/\\]"
)
_NODE_PACKAGE = re.compile(r".{0,400}/node_modules/((?:@[^/]{1,100}/)?[^/]{1,100})/")
_CARGO = re.compile(r".{0,400}/registry/src/[^/]{1,100}/([\w-]{1,100}?)-\d[^/]{0,40}/")

_JAVA: Swaps = (
    (re.compile(r"\$\$(?:EnhancerBy\w{1,40}|FastClassBy\w{1,40}|SpringCGLIB)\$\$[\w$]{1,40}"), ""),
    (re.compile(r"\$\$Lambda(?:[$/][\w$]{1,40}){0,3}"), ""),
    (re.compile(r"lambda\$(\w{1,100})\$\d{1,6}"), r"\1"),
    (re.compile(r"(\$Proxy|GeneratedMethodAccessor|GeneratedConstructorAccessor)\d{1,6}"), r"\1"),
    (re.compile(r"\$\d{1,6}(?=[.$]|$)"), ""),
)
_GO: Swaps = (
    (re.compile(r"%2e"), "."),
    (re.compile(r"\[\.\.\.\]"), ""),
    (re.compile(r"(?:\.{1,2}(?:func|gowrap|[dD]eferwrap)?\d{1,6}|-range\d{1,4}|-fm){1,8}$"), ""),
)
_RUST: Swaps = (
    (re.compile(r"::h[0-9a-f]{16}$"), ""),
    (re.compile(r"\[[0-9a-f]{6,16}\]"), ""),
    (re.compile(r"\{\{[\w.: -]{1,60}\}\}|\{[\w.: -]{1,40}#\d{1,6}\}"), ""),
)
_NODE: Swaps = (
    (re.compile(r"^(?:async |new ){1,2}"), ""),
    (re.compile(r" \[as [^\]]{1,100}\]$"), ""),
    (re.compile(r"^Object\.<anonymous>$"), "<anonymous>"),
)
_NATIVE: Swaps = (
    (re.compile(r"(?:\.(?:isra|constprop|part|cold|llvm|lto_priv)(?:\.\d{1,20})?){1,6}$"), ""),
    (re.compile(r" \[clone [^\]]{1,60}\]"), ""),
    (re.compile(r"\+0x[0-9a-f]{1,16}(?:/0x[0-9a-f]{1,16})?$"), ""),
    (re.compile(r"@@?[A-Z]\w{0,20}_[\d.]{1,12}$"), ""),
)
_OBJECT: Swaps = (
    (re.compile(r" \(deleted\)$|;[0-9a-f]{6,16}$"), ""),
    (re.compile(r"\.(?:cpython|abi3|pypy)[\w-]{0,60}\.so$"), ".so"),
    (re.compile(r"(?:-\d{1,6}\.[\d.]{1,20})?\.so(?:\.[\w.]{1,30})?$"), ".so"),
)


def swap(text: str, swaps: Swaps) -> str:
    """Replace what the rows of ``swaps`` find, in their order."""
    for pattern, word in swaps:
        text = pattern.sub(word, text)
    return text


def outside(text: str) -> str:
    """Return ``text`` without what stands in brackets of any sort; an arrow is no bracket."""
    kept, depth, before = [], 0, ""
    for char in text:
        if char in _OPENING:
            depth += 1
        elif char in _CLOSING and before != "-":
            depth = max(0, depth - 1)
        elif depth == 0:
            kept.append(char)
        before = char
    return "".join(kept)


def _joined(text: str, sign: str) -> str:
    """Drop the empty parts that were left between two ``sign``."""
    return sign.join(part for part in text.split(sign) if part)


def rust_function(raw: str) -> str:
    """``<shop::Cart as core::ops::Drop>::drop::h0123456789abcdef`` becomes ``shop::Cart::drop``."""
    text = swap(raw[:MAX_NAME].strip(), _RUST)
    for _ in range(4):
        if not text.startswith("<"):
            break
        end = _closing(text)
        text = text[1:end].split(" as ")[0] + text[end + 1 :]
    return _joined(outside(text), "::") or raw[:MAX_NAME]


def _closing(text: str) -> int:
    """Return where the bracket that opens ``text`` is closed, or its length."""
    depth = 0
    for place, char in enumerate(text):
        depth += (char == "<") - (char == ">" and text[place - 1] != "-")
        if depth == 0:
            return place
    return len(text)


def native_function(raw: str) -> str:
    """``void shop::Cart<int>::add(int) const [clone .cold]`` becomes ``shop::Cart::add``."""
    text = swap(raw[:MAX_NAME].strip(), _NATIVE)
    if text.startswith("operator "):
        return text.partition("(")[0]
    text = outside(text).strip().removesuffix(" const").removesuffix("::operator")
    return _joined(text.rpartition(" ")[2], "::") or raw[:MAX_NAME]


def go_function(raw: str) -> str:
    """``main.(*Cart).Add.func1`` becomes ``main.(*Cart).Add``: a closure is its function's."""
    return swap(raw[:MAX_NAME], _GO).rstrip(".") or raw[:MAX_NAME]


def java_function(raw: str) -> str:
    """``com.acme.Cart$1.lambda$add$0`` becomes ``com.acme.Cart.add``."""
    return swap(raw[:MAX_NAME], _JAVA)


def node_function(raw: str) -> str:
    """``async Cart.add [as handler]`` becomes ``Cart.add``; without a name ``<anonymous>``."""
    return swap(raw[:MAX_NAME].strip(), _NODE) or "<anonymous>"


def python_function(raw: str) -> str:
    """Return the name alone: extension modules print it with its module."""
    name = raw[:MAX_NAME].strip()
    return name if "<" in name else name.rpartition(".")[2] or name


def object_name(path: str) -> str | None:
    """``/usr/lib/libssl.so.3`` becomes ``libssl.so``; None for an address without an object."""
    name = swap(path.rpartition("/")[2].strip(), _OBJECT)
    return name or None


def steady(path: str) -> str:
    """Return the last two parts of ``path``: what stays when it is installed elsewhere."""
    rest = path[_ROOTS.match(path).end() :] if path else ""  # type: ignore[union-attr]
    parts = [part for part in re.split(r"[/\\]", rest) if part]
    kept = [part for part in parts[-2:-1] if not _VARYING.fullmatch(part)] + parts[-1:]
    return "/".join(kept)


def python_module(_function: str, file: str, _object: str) -> str | None:
    """``/srv/shop/cart.py`` is ``shop.cart``, ``…/site-packages/flask/app.py`` is ``flask.app``."""
    if file.startswith("<"):
        return file.strip("<>").removeprefix("frozen ") if "frozen" in file else None
    found = _INSTALLED.match(file)
    path = re.sub(r"\.pyc?$", "", file[found.end() :] if found else steady(file))
    path = re.sub(r"[/\\]__(?:init|main)__$", "", path)
    return re.sub(r"[/\\]", ".", path) or None


def java_module(function: str, _file: str, _object: str) -> str | None:
    """Return the package: ``com.acme.shop`` of ``com.acme.shop.Cart.add``."""
    return ".".join(function.split(".")[:-2]) or None


def go_module(function: str, _file: str, _object: str) -> str | None:
    """Return the package: ``github.com/acme/shop/cart`` of ``github.com/acme/shop/cart.Add``."""
    slash = function.partition("(")[0].rfind("/") + 1
    return function[:slash] + function[slash:].partition(".")[0] or None


def rust_module(function: str, file: str, _object: str) -> str | None:
    """Return the crate; where no frame names it, that of the registry or the source file."""
    crate = function.partition("::")[0]
    if "::" in function and crate.isidentifier():
        return crate
    found = _CARGO.match(file)
    return found[1] if found else steady(file) or None


def node_module(_function: str, file: str, _object: str) -> str | None:
    """Return the package below ``node_modules``, or the last two parts of the file."""
    if file.startswith(("node:", "[", "<")):
        return file.strip("[]<>") or None
    found = _NODE_PACKAGE.match(file)
    return found[1] if found else steady(file) or None


def native_module(function: str, file: str, mapped: str) -> str | None:
    """Return the mapped object; the source file where neither it nor the function is known."""
    return object_name(mapped) or (None if function else steady(file) or None)


def unit_module(_function: str, _file: str, unit: str) -> str | None:
    """Return the unit without its instance: ``shop@.service`` of ``shop@eu-1.service``."""
    return re.sub(r"@.{0,200}(?=\.\w{1,10}$)", "@", unit) or None


PYTHON = Naming(python_function, python_module)
JAVA = Naming(java_function, java_module)
GO = Naming(go_function, go_module)
RUST = Naming(rust_function, rust_module)
NODE = Naming(node_function, node_module)
NATIVE = Naming(native_function, native_module)
SYSTEMD = Naming(native_function, unit_module)
