"""The image: what pins it, and that nothing in it runs as root."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "cluster" / "Dockerfile").read_text("utf-8")


def pins() -> dict[str, str]:
    """The versions in the constraints file, by name."""
    lines = (ROOT / "cluster" / "constraints.txt").read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines)


def test_constraints_are_names_and_versions_alone() -> None:
    lines = (ROOT / "cluster" / "constraints.txt").read_text("utf-8").splitlines()
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[0-9][a-z0-9.]*", line) for line in lines)
    assert lines == sorted(lines)
    assert len(pins()) == len(lines)


def test_constraints_pin_all_that_the_image_asks_for_within_its_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["cluster"]]
    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)]), requirement


def test_the_image_ends_as_a_user_who_is_not_root() -> None:
    users = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)
    assert users == ["1000:1000"]
    assert "useradd --uid 1000" in DOCKERFILE


def test_the_image_is_of_a_python_that_madray_runs_on_and_asks_for_tokens() -> None:
    bases = re.findall(r"^FROM python:(\d+\.\d+)-", DOCKERFILE, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert bases
    assert all(Requirement(f"python{project['requires-python']}").specifier.contains(base) for base in bases)
    assert "RAY_AUTH_MODE=token" in DOCKERFILE


def test_what_the_image_copies_is_there_and_let_in() -> None:
    let_in = (ROOT / "cluster" / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in let_in, source
