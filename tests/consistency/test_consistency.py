"""Texts that name the same things say the same."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DROP = re.compile(r'^BH_DROP\((\w+), "([a-z_]+)",\s*"([^"]+)"\)', re.MULTILINE)


def drops():
    return DROP.findall((ROOT / "relay/drops.def").read_text())


def test_every_drop_has_one_name_and_a_text():
    found = drops()
    entries = [line for line in (ROOT / "relay/drops.def").read_text().splitlines()
               if line.startswith("BH_DROP(")]
    assert len(found) == len(entries) > 30
    assert len({label for _, label, _ in found}) == len(found)
    for identifier, label, text in found:
        words = re.sub(r"(?<!^)(?=[A-Z])", "_", identifier.removeprefix("k")).lower()
        assert words == label and text


@pytest.mark.parametrize("readme", sorted(
    str(path.relative_to(ROOT)) for path in ROOT.rglob("*.md")
    if not any(part.startswith((".", "build")) for part in path.relative_to(ROOT).parts)))
def test_links_between_texts_lead_somewhere(readme):
    path = ROOT / readme
    for link in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        if not link.startswith(("http:", "https:", "mailto:")):
            assert (path.parent / link).exists(), f"{readme} points to {link}"


def test_readme_begins_with_the_two_commands():
    text = (ROOT / "README.md").read_text()
    commands = re.findall(r"^\s*(sudo \./\S+)", text, re.MULTILINE)
    assert commands[:2] == ["sudo ./deploy/demo.sh", "sudo ./tests/run.sh"]


@pytest.mark.parametrize("command", ["check", "status", "sessions", "drops", "bridges", "drain",
                                     "undrain", "reload", "version"])
def test_completion_knows_the_commands(command):
    files = [path for path in (ROOT / "deploy/completion").iterdir() if path.is_file()]
    assert files
    for path in files:
        assert command in path.read_text()


def test_installed_units_name_installed_files(tmp_path):
    build = os.environ["BRIDGEHEAD_BUILD"]
    subprocess.run(["meson", "install", "--no-rebuild", "--quiet", "-C", build], check=True,
                   env={**os.environ, "DESTDIR": str(tmp_path)})
    units = list(tmp_path.rglob("*.service"))
    assert len(units) == 2
    for unit in units:
        text = unit.read_text()
        commands = re.findall(r"^Exec\w+=(\S+)", text, re.M)
        assert commands
        for command in commands:
            assert os.access(f"{tmp_path}{command}", os.X_OK), f"{unit.name}: {command}"
        for document in re.findall(r"^Documentation=file:(\S+)", text, re.M):
            assert Path(f"{tmp_path}{document}").is_file(), f"{unit.name}: {document}"
