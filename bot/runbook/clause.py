"""The ``match`` part of a runbook: what a crash has to look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bot.crash.report import Kind
from bot.runbook.kernel import check_range
from bot.runbook.pattern import check_glob, check_pattern


def as_list(value: Any) -> Any:
    """Take one for a list of one."""
    return value if isinstance(value, list | tuple) or value is None else [value]


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
Globs = Annotated[tuple[Glob, ...], BeforeValidator(as_list), Field(min_length=1)]
Range = Annotated[str, AfterValidator(check_range)]
Word = Annotated[str, Field(min_length=1, max_length=500)]
Words = Annotated[tuple[Word, ...], BeforeValidator(as_list), Field(min_length=1)]


class Clause(BaseModel):
    """Everything that is said must hold; of a list of kinds, functions, ranges …, one must.

    ``function`` and ``module`` are names or globs. ``title`` (of the report) and ``message`` (the
    raw text) are re2 patterns, searched anywhere. ``kernel`` ranges, ``arch``, ``taint`` letters and
    the alert's ``labels`` (name -> values or globs) narrow that down: they never match alone.
    ``any``, ``all`` and ``not`` nest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    kind: Annotated[tuple[Kind, ...], BeforeValidator(as_list), Field(min_length=1)] | None = None
    function: Globs | None = None
    module: Globs | None = None
    title: Pattern | None = None
    message: Pattern | None = None
    kernel: Annotated[tuple[Range, ...], BeforeValidator(as_list), Field(min_length=1)] | None = (
        None
    )
    arch: Annotated[tuple[Arch, ...], BeforeValidator(as_list), Field(min_length=1)] | None = None
    taint: Annotated[tuple[Taint, ...], BeforeValidator(as_list), Field(min_length=1)] | None = None
    labels: Annotated[Mapping[Word, Words], Field(min_length=1)] | None = None
    any_of: Annotated[tuple[Clause, ...], Field(min_length=1)] | None = Field(None, alias="any")
    all_of: Annotated[tuple[Clause, ...], Field(min_length=1)] | None = Field(None, alias="all")
    none_of: Clause | None = Field(None, alias="not")

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
