"""The state of one sync: its file, and what each part of the work keeps in it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from entrasync.errors import ConfigurationError
from entrasync.state.checkpoints import Checkpoints
from entrasync.state.cloud import CloudSpace
from entrasync.state.database import Database
from entrasync.state.evaluation import EvaluationSpace
from entrasync.state.plan import PlanSpace
from entrasync.state.reports import Reports
from entrasync.state.sources import SourceSpace
from entrasync.state.unstamped import Unstamped

META_TENANT: Final = "tenant"


class Store:
    """The open state; a context manager. One process at a time has it.

    Every public method of its parts that writes is one durable transaction, or part of the one that
    is open, so a run killed at any step leaves a whole state behind.

    Args:
        folder: where its files lie; made when missing.

    Attributes:
        sources: what the sources hold.
        evaluation: what takes part, and what of it must be compared.
        cloud: what the tenant holds.
        plan: what must change, and in which order.
        checkpoints: what was sent, and what became of it.
        reports: results and plans of earlier runs.
        unstamped: users whose anchor is to be written.

    Raises:
        TransientError: another run holds the state.
        ConfigurationError: the file is of a newer entrasync, or cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder)
        self.sources = SourceSpace(self.database)
        self.evaluation = EvaluationSpace(self.database)
        self.cloud = CloudSpace(self.database)
        self.plan = PlanSpace(self.database)
        self.checkpoints = Checkpoints(self.database)
        self.reports = Reports(self.database)
        self.unstamped = Unstamped(self.database)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes it; errors of the file become errors that say what to do."""
        explained = None if error is None else self.database.explain(error)
        self.close()
        if explained is not None:
            raise explained from error

    def close(self) -> None:
        """Closes the file and lets the next run in."""
        self.database.close()

    @property
    def set_aside(self) -> str | None:
        """Why the state before was set aside, as a sentence for people; else `None`."""
        return self.database.set_aside

    def get(self, key: str) -> str | None:
        """One remembered fact."""
        return self.database.get(key)

    def put(self, key: str, value: str | None) -> None:
        """Remembers a fact, or with `None` forgets it."""
        self.database.put(key, value)

    def transaction(self) -> AbstractContextManager[None]:
        """One durable transaction; within another it is part of that one."""
        return self.database.transaction()

    def bind(self, tenant: str) -> None:
        """Ties this state to a tenant at first use.

        Raises:
            ConfigurationError: it is tied to another one.
        """
        known = self.get(META_TENANT)
        if known is None:
            self.put(META_TENANT, tenant)
        elif known != tenant:
            raise ConfigurationError(
                "StateVolumeUnsuitable",
                f"the state volume belongs to tenant {known}; give this sync a volume of its own",
                field="spec.runner.storage",
            )
