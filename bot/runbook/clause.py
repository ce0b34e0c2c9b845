"""The ``match`` part of a runbook: what a crash has to look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from bot.crash.report import Kind
from bot.runbook.kernel import check_range
from bot.runbook.part import Part, Several
from bot.runbook.pattern import check_glob, check_pattern

Arch = Literal[
    "x86_64", "i386", "arm64", "arm", "riscv64", "mips", "ppc64", "ppc", "s390x", "loongarch64",
    "sparc64", "parisc", "ia64", "alpha",
]  # fmt: skip
"""The architectures that the crash reader tells apart."""
Taint = Literal[
    "P", "F", "S", "R", "M", "B", "U", "D", "A", "W", "C", "I", "O", "E", "L", "K", "X", "T", "N",
    "J",
]  # fmt: skip
"""The letters of ``bot.crash.report.TAINTS``."""

Glob = Annotated[str, AfterValidator(check_glob)]
Pattern = Annotated[str, AfterValidator(check_pattern)]
Globs = Several[Glob]
Range = Annotated[str, AfterValidator(check_range)]
Word = Annotated[str, Field(min_length=1, max_length=500)]
Words = Several[Word]


class Clause(Part):
    """Everything that is said must hold; of a list, one.

    ``kernel``, ``arch``, ``taint``, ``labels`` and ``alert_text`` narrow a match: they never match
    alone. What the report does not say fits nothing. ``any``, ``all`` and ``not`` nest.
    """

    model_config = ConfigDict(populate_by_name=False)

    kind: Several[Kind] | None = None
    """What sort of crash."""
    function: Globs | None = None
    """The guilty function: names or globs (`*`, `?`)."""
    module: Globs | None = None
    """Its module: names or globs."""
    title: Pattern | None = None
    """An re2 pattern, searched in the report's title and its alternatives."""
    message: Pattern | None = None
    """An re2 pattern, searched in the text of the crash."""
    kernel: Several[Range] | None = None
    """Ranges of the kernel release, such as `< 5.2` or `>= 4.15 < 5.2`."""
    arch: Several[Arch] | None = None
    """The architecture."""
    taint: Several[Taint] | None = None
    """Letters of the taint, one of which must be set."""
    labels: Annotated[Mapping[Word, Words], Field(min_length=1)] | None = None
    """Labels of the alert: name to values or globs. Every one that is named must fit."""
    alert_text: Pattern | None = None
    """An re2 pattern, searched in all that the alert said, from its beginning."""
    any_of: Annotated[tuple[Clause, ...], Field(min_length=1)] | None = Field(None, alias="any")
    """Clauses, one of which must hold."""
    all_of: Annotated[tuple[Clause, ...], Field(min_length=1)] | None = Field(None, alias="all")
    """Clauses that must all hold."""
    none_of: Clause | None = Field(None, alias="not")
    """A clause that must not hold."""

    @model_validator(mode="after")
    def _says_something(self) -> Clause:
        if not self.model_fields_set:
            raise ValueError("an empty clause matches everything: say what the crash looks like")
        return self

    def positive(self) -> bool:
        """Whether it says what a crash is, not merely what it is not or where it happens."""
        said = (self.kind, self.function, self.module, self.title, self.message)
        inner = any(clause.positive() for clause in self.all_of or ())
        choice = self.any_of is not None and all(clause.positive() for clause in self.any_of)
        return any(part is not None for part in said) or inner or choice
