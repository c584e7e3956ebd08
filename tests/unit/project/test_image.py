"""The recipe of the image: what is copied can be, and nothing stays of the build."""

from __future__ import annotations

import re
from pathlib import Path

from dev.images import BUILT, KERBEROS_IMAGE, PRODUCT_IMAGE

ROOT = Path(__file__).parents[3]
RECIPE = re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text())
STEPS = [
    " ".join(step.split()) for step in re.split(r"(?m)^(?=[A-Z]+ )", RECIPE.replace("\\\n", " "))
]
FINAL = STEPS[max(n for n, step in enumerate(STEPS) if step.startswith("FROM ")) :]


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"(?m)^([a-z0-9._-]+)==(\S+)", text))


def test_what_is_copied_is_let_through() -> None:
    """All else is kept out, so that nothing of a checkout slips into an image."""
    ignored, *allowed = (ROOT / ".dockerignore").read_text().split()
    assert ignored == "**"
    copied = {
        source
        for step in STEPS
        if step.startswith("COPY ") and "--from" not in step
        for source in step.split()[1:-1]
    }
    assert copied == {each.removeprefix("!") for each in allowed if each.startswith("!")}
    for image in (PRODUCT_IMAGE, KERBEROS_IMAGE):
        assert all(path.exists() for path in image.inputs)


def test_it_runs_as_a_number() -> None:
    assert "USER 10001:10001 " in f"{FINAL[-2]} "
    assert FINAL[-1] == 'ENTRYPOINT ["entrasync"]'


def test_every_package_is_pinned_by_its_hash() -> None:
    installs = [each for step in STEPS for each in re.findall(r"(?<=\$pip install )[^&;]+", step)]
    assert len(installs) == 2
    assert all("--require-hashes" in each for each in installs)
    assert all("--upgrade" not in each for each in installs)


def test_the_compiler_stays_behind() -> None:
    final = "\n".join(FINAL)
    assert "gcc" not in final
    assert "pip" not in final
    assert re.findall(r"apt-get install \S+ \S+ \S+ (\S+)", final) == ["libgssapi-krb5-2"]
    (installed,) = [step for step in FINAL if "apt-get" in step]
    assert installed.startswith('RUN if [ "$EXTRAS" = kerberos ]')
    assert "rm -rf /var/lib/apt/lists/*" in installed


def test_the_surroundings_of_a_build_are_not_written_down() -> None:
    arguments = [step.split()[1] for step in STEPS if step.startswith("ARG ")]
    assert {each for each in arguments if "=" in each} == {
        "BASE=docker.io/library/python:3.11-slim-bookworm",
        'EXTRAS=""',
    }
    assert not [step for step in FINAL if step.startswith("ARG PIP")]
    assert "://" not in RECIPE


def test_both_images_hold_the_same_packages() -> None:
    plain, kerberos = pins("runtime"), pins("kerberos")
    assert plain.items() <= kerberos.items()
    assert set(kerberos) - set(plain) == {"decorator", "gssapi"}
    assert set(pins("kerberos-build")) == {"cython", "setuptools"}


def test_names_and_tags_differ() -> None:
    assert len({image.tag for image in BUILT.values()}) == len(BUILT)
