"""AzureClouds that come with the operator beside the shipped ones: that of the chart's emulator.

A chart cannot make them itself: their definition comes with the same chart, and Helm asks for the
kinds of all objects before it makes the first.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.snapshot import parse_resource
from entrasync.errors import ConfigurationError


def read_clouds(folder: Path | None) -> tuple[AzureCloud, ...]:
    """The AzureClouds in the YAML files of a folder; `None` for no folder.

    Raises:
        ConfigurationError: a file cannot be read, or holds something else.
    """
    if folder is None:
        return ()
    found = []
    for file in sorted(folder.glob("*.yaml")):
        try:
            documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise _wrong(file, "cannot be read as YAML") from error
        for document in documents:
            if not isinstance(document, dict):
                raise _wrong(file, "holds something that is no resource")
            resource = parse_resource(document)
            if not isinstance(resource, AzureCloud):
                raise _wrong(file, "holds a resource that is no AzureCloud")
            found.append(resource)
    if not found:
        raise _wrong(folder, "holds no file `*.yaml` with an AzureCloud")
    return tuple(found)


def _wrong(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(
        "ConfigurationInvalid", f"{path} {what}; mend it, or leave ENTRASYNC_CLOUDS empty"
    )
