"""What Prometheus would read from a registry: samples by name and labels."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families


class Scraped:
    """The samples of one scrape, parsed from the text that is served.

    Args:
        source: a registry, or the text itself.
    """

    def __init__(self, source: CollectorRegistry | str) -> None:
        self.text = source if isinstance(source, str) else generate_latest(source).decode()
        self.families = {each.name: each for each in text_string_to_metric_families(self.text)}
        self.samples = [
            (sample.name, dict(sample.labels), sample.value)
            for family in self.families.values()
            for sample in family.samples
        ]

    def value(self, name: str, /, **labels: str) -> float:
        """The value of the one sample of a name that has these labels, among others."""
        found = self.values(name, **labels)
        assert len(found) == 1, (name, labels, found)
        return found[0]

    def values(self, name: str, /, **labels: str) -> list[float]:
        """Values of all samples of a name that have these labels."""
        return [
            value
            for sample, held, value in self.samples
            if sample == name and labels.items() <= held.items()
        ]

    def by(self, name: str, /, *keys: str, **labels: str) -> dict[Any, float]:
        """Values of a name by some of its labels, zeros left out."""
        return {
            tuple(held[key] for key in keys) if len(keys) > 1 else held[keys[0]]: value
            for sample, held, value in self.samples
            if sample == name and value and labels.items() <= held.items()
        }

    def naming(self, value: str) -> list[str]:
        """Names of the samples with a label of this value."""
        return [name for name, labels, _ in self.samples if value in labels.values()]
