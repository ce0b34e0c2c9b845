"""The documents say what the code does: nothing is missing, nothing is invented."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin

import click
import pytest
import yaml
from pydantic import BaseModel
from starlette.routing import Route

import bot
from bot import crash
from bot.app import App
from bot.chat.dispatch import entry_json
from bot.chat.grammar import VERBS
from bot.chat.status import host_row, status_json
from bot.cli import COMMANDS, holdfast
from bot.config import Config, PersonPart, seconds
from bot.crash.report import Kind
from bot.errors import HoldfastError
from bot.incident.fold import fold
from bot.incident.state import Outcome
from bot.runbook import model
from bot.runbook.clause import Arch, Clause
from bot.runbook.disk import read_dir
from bot.runbook.lint import lint
from bot.runbook.load import load
from bot.runbook.trial import run_tests
from bot.runbook.variable import Variable
from bot.service.progress import rows
from bot.timeline.kinds import KINDS
from bot.web.http import create
from tests.unit import events

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs/reference.md").read_text()
HOW_TO = (ROOT / "docs/how-to.md").read_text()
README = (ROOT / "README.md").read_text()
DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def section(title: str, text: str = REFERENCE) -> str:
    """Return the part below a heading, up to the next one of the same depth or above."""
    head = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert head, f"there is no heading {title!r}"
    rest = text[head.end() :]
    end = re.search(rf"^#{{1,{len(head[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def table(title: str) -> list[list[str]]:
    """Return the rows of the first table below a heading, without head and rule."""
    rows = re.findall(r"^\| (.*) \|$", section(title).split("\n\n#")[0], re.MULTILINE)
    return [[cell.strip() for cell in re.split(r" \| ", row)] for row in rows[1:]]


def names(title: str) -> list[str]:
    """Return the first column, without its backticks."""
    return [row[0].strip("`") for row in table(title)]


# Commands


def test_every_verb_is_documented_with_its_usage_and_no_other_is():
    assert names("Verbs") == [verb.usage for verb in VERBS.values()]


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from commands(found, f"{path} {name}")
        else:
            yield f"{path} {name}", found


OWN = dict(commands(holdfast, "holdfast"))
BESIDE = {k: v for k, v in OWN.items() if k.split()[1] in COMMANDS}


def test_every_command_beside_the_verbs_is_documented_and_no_other_is():
    told = {found for name in names("Commands") for found in re.findall(r"^[a-z ]+[a-z]", name)}
    assert told - {"holdfast timeline verify"} == set(BESIDE)


@pytest.mark.parametrize("name", BESIDE)
def test_every_option_of_a_command_is_documented_and_no_other_is(name):
    rows = (row for row in table("Commands") if re.match(rf"`{name}(?![a-z])", row[0]))
    told = " ".join(" ".join(row) for row in rows)
    options = [p for p in BESIDE[name].params if isinstance(p, click.Option)]
    wanted = {opt for option in options for opt in option.opts}
    assert set(re.findall(r"(--[a-z-]+)", told)) == wanted


def test_the_options_of_the_program_itself_are_documented():
    told = section("Commands")
    assert all(f"`{o}" in told or f" {o} " in told for o in ("--config", "--version", "--help"))


def test_every_exit_code_and_http_status_is_documented():
    errors: list[type[HoldfastError]] = [HoldfastError]
    for error in errors:
        errors += error.__subclasses__()
    assert {str(error.exit_code) for error in errors} <= set(names("Exit codes"))
    assert all(f"| {error.status} |" in section("HTTP") for error in errors)


def test_every_environment_variable_that_the_code_names_is_documented():
    used = set()
    for file in Path(bot.__file__).parent.rglob("*.py"):
        found = re.findall(r"\"((?:HOLDFAST|SLACK)_[A-Z_]+)\"", file.read_text())
        used |= set(found)
    assert used == set(names("Environment"))


# Configuration


def leaves(part: type[BaseModel], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in part.model_fields.items():
        if field.exclude:
            continue
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            yield from leaves(type(default), f"{path}{name}.")
        elif name == "people" and not path:
            yield from leaves(PersonPart, "people.<id>.")
        elif inner := [one for one in get_args(field.annotation) if is_part(one)]:
            yield from leaves(inner[0], f"{path}{name}[].")
        else:
            yield path + (field.alias or name), "required" if field.is_required() else default


def is_part(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


TREES = {"overrides": "overrides.<runbook>.<mitigation>.<variable>"}
TREES["fleet.aliases"] = "fleet.aliases.<name>"
ROLE = re.compile(r"^roles\.[a-z]+\.")
KEYS = {ROLE.sub("roles.<role>.", TREES.get(k, k)): default for k, default in leaves(Config)}


def test_every_configuration_key_is_documented_and_no_other_is():
    assert sorted(names("Configuration")) == sorted(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_the_default_of_a_configuration_key_is_the_documented_one(key):
    row = next(row for row in table("Configuration") if row[0] == f"`{key}`")
    told, default = row[2].strip("`"), KEYS[key]
    if row[1] == "duration" and default is not None:
        assert seconds(told) == default
    elif isinstance(default, list):
        assert [word for word in told.strip("[]").split(", ") if word] == default
    else:
        assert told == ("\N{EN DASH}" if default in (None, {}) else str(default))


# Runbooks


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models(inner)


def is_list(annotation: Any) -> bool:
    choices = [one for one in get_args(annotation) if one is not type(None)]
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return all(
            is_list(one) for one in choices[: 1 if hasattr(annotation, "__metadata__") else 9]
        )
    return get_origin(annotation) is tuple


def fields(part: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in part.model_fields.items():
        listed = "[]" if is_list(field.annotation) else ""
        named = ".<name>" if "Mapping" in str(field.annotation) else ""
        inner = set(models(field.annotation))
        if Clause in inner or name == "overridden":
            yield from [path + name] if Clause in inner else []
        elif Variable in inner:
            yield f"{path}{name}{named}"
            if part is model.Mitigation:
                yield from fields(Variable, f"{path}{name}{named}.")
        elif inner:
            for one in inner:
                yield from fields(one, f"{path}{name}{listed}{named}.")
        else:
            yield f"{path}{name}{listed}"


def test_every_field_of_a_runbook_is_documented_and_no_other_is():
    rows = section("Runbooks").split("### match")[0]
    told = re.findall(r"^\| `([^`]+)` \|", rows, re.MULTILINE)
    assert sorted(told) == sorted(set(fields(model.Runbook)))


def test_every_part_of_a_match_and_every_kind_of_crash_is_documented():
    told = {row[0].strip("`"): row[1] for row in table("match")}
    told["labels"] = told.pop("labels.<name>")
    assert set(told) == {f.alias or name for name, f in Clause.model_fields.items()}
    assert re.findall(r"`([^`]+)`", told["arch"])[0].split() == list(get_args(Arch))
    assert re.findall(r"`([^`]+)`", told["kind"])[0].split() == [kind.value for kind in Kind]


# Timeline, JSON, HTTP


def test_the_published_table_of_timeline_kinds_is_the_code_s():
    assert {row[0].strip("`"): row[1] for row in table("Timeline")} == dict(KINDS)


def test_every_outcome_is_documented():
    assert names("Outcomes") == [outcome.value for outcome in Outcome]


def test_every_route_is_documented_and_no_other_is():
    api = create(cast(App, None), dict)
    routes = {
        f"{method} {route.path}"
        for route in api.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    told = [row[0].strip("`") for row in table("HTTP") if re.match(r"`[A-Z]+ /", row[0])]
    assert sorted(told) == sorted(routes)


def shown(command: str) -> Any:
    """Return the JSON example that follows the words ``command``."""
    text = section("JSON shapes").split(f"`{command}`", 1)[1]
    found = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_documented_json_has_the_keys_that_programs_get():
    entries = events.night()
    incident = fold(entries)
    status = status_json(incident, events.PEOPLE, datetime(2026, 3, 14, 3, tzinfo=UTC))
    told = shown("status --json")
    assert set(told) == set(status)
    for part in ("signature", "cascade", "hosts", "hold"):
        assert set(told[part]) == set(status[part])
    for part in ("proposals", "waves"):
        assert set(told[part][0]) == set(status[part][0])
    assert set(shown("hosts --json")) == set(
        rows([host_row(incident, incident.host("web-01"))], [])[0]
    )
    assert set(shown("timeline --json")) == set(entry_json(entries[0]))


# README and the other documents


def words(text: str) -> Iterator[str]:
    """Yield what stands in code: inline and in blocks."""
    yield from re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    yield from re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_a_document_names_no_command_or_option_that_does_not_exist(path):
    for text in words(path.read_text()):
        for line in re.findall(r"(?:^|[\s;&(])holdfast ([a-z].*)$", text, re.MULTILINE):
            first, *rest = re.split(r"\s+", line.split("#")[0].strip())
            name = f"holdfast {first}"
            if rest and f"{name} {rest[0]}" in OWN:
                name = f"{name} {rest[0]}"
            assert name in OWN, line
            wanted = re.findall(r"(?:^|\s)(--[a-z-]+)", line)
            known = {o for p in OWN[name].params for o in p.opts}
            known |= {f"--{o}" for o in (VERBS[first].options if first in VERBS else ())}
            assert set(wanted) <= known | {"--help"}, line


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_a_document_names_no_target_of_make_that_does_not_exist(path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for text in words(path.read_text()):
        for line in re.findall(r"^(?:\$ )?make ([a-z-]+)", text, re.MULTILINE):
            assert line in targets


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_link_between_documents_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        there = path.parent / file if file else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there.read_text()), target


def test_the_runbook_of_the_readme_lints_and_passes_its_own_tests():
    example = re.search(r"```yaml\n(id: .*?)```", README, re.DOTALL)
    assert example
    name = "runbooks/readme.yml"
    library = load({**read_dir(ROOT / "runbooks"), name: example[1]})
    playbooks = {p.name: p.read_text() for p in (ROOT / "playbooks").glob("*.yml")}
    assert [p for p in lint(library, playbooks) if p.file == name] == []
    results = [r for r in run_tests(library, crash.read) if r.file == name]
    assert {r.expect for r in results} == {"match", "none"}
    assert [r.why for r in results if not r.ok] == []


def test_the_rules_of_waves_and_gates_in_the_how_to_can_be_written_so():
    text = section("Say how far a rollout may go, and what has to hold", HOW_TO)
    rules = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert rules
    runbook = yaml.safe_load((ROOT / "runbooks/network/tcp-estats-update-mss.yml").read_text())
    given = yaml.safe_load(rules[1])
    mitigation = model.Mitigation.model_validate({**runbook["mitigations"][0], **given})
    assert set(given["rollout"]) == set(model.Rollout.model_fields)
    assert len(mitigation.gate.checks) == 2


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 250


def test_every_dependency_has_its_line_and_no_other_has():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [one for extra in project["optional-dependencies"].values() for one in extra]
    wanted = {re.split(r"[^a-z0-9-]", one)[0] for one in [*project["dependencies"], *extras]}
    told = (ROOT / "docs/dependencies.md").read_text()
    assert set(re.findall(r"^\| `([a-z0-9-]+)`", told, re.MULTILINE)) == wanted


def test_the_changelog_knows_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
