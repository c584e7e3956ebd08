"""The one door for reading Active Directory: a session, which never writes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import structlog

from entrasync.directory.change_times import read_change_times
from entrasync.directory.connect import reach, unreachable
from entrasync.directory.controls import DIRSYNC, EXTENDED_DN, SHOW_DELETED
from entrasync.directory.deltas import Deltas
from entrasync.directory.entries import Wanted, guid_of
from entrasync.directory.errors import MalformedAnswerError, ReadFailedError
from entrasync.directory.link import BASE, ONE_LEVEL, SUBTREE, Search
from entrasync.directory.locate import locate
from entrasync.directory.model import Container, RootInfo
from entrasync.directory.reader import INVALID_DN, NO_SUCH_OBJECT, NOT_NOW, REFERRAL, Reader
from entrasync.directory.schema import read_schema, unreadable
from entrasync.directory.values import (
    FUNCTIONAL_LEVELS,
    domain_of,
    guid_from_bytes,
    naming_context_of,
    parse_extended_name,
)
from entrasync.directory.writer import may_stamp
from entrasync.errors import ConfigurationError, TransientError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from entrasync.directory.ber import RawEntry
    from entrasync.directory.connect import Finder
    from entrasync.directory.link import Link
    from entrasync.directory.model import ChangePage, DirectoryConfig, SourceEntry
    from entrasync.directory.schema import SchemaAttribute

_CONTAINER_CLASSES = ("organizationalUnit", "container", "domainDNS", "builtinDomain")
_OBJECT_CLASSES = ("user", "group", "contact")
# tombstones have lost their objectCategory, so classes decide; computers are users too
_CONTAINERS = "".join(f"(objectClass={name})" for name in _CONTAINER_CLASSES)
_CONTAINER_FILTER = f"(|{_CONTAINERS})"
_OBJECTS = "".join(f"(objectClass={name})" for name in _OBJECT_CLASSES)
_OBJECT_FILTER = f"(&(|{_OBJECTS}{_CONTAINERS})(!(objectClass=computer)))"

_NOT_THERE = frozenset({REFERRAL, NO_SUCH_OBJECT, INVALID_DN})
_ROOT_ATTRIBUTES = (
    "defaultNamingContext",
    "domainFunctionality",
    "dsServiceName",
    "namingContexts",
    "schemaNamingContext",
    "supportedControl",
)
_DELETED_OBJECTS = "18E2EA80684F11D2B9AA00C04F79F805"
"""Well-known GUID of the container that tombstones go to."""

log = structlog.get_logger()


class DirectorySession:
    """A bound connection to one server of an Active Directory.

    Close it, or use it in a `with` statement. It is for one thread. Iterators may be used side by
    side. Every method raises `TransientError` when the connection is lost or the server answers
    with an error: a list that is given to its end is complete.
    """

    def __init__(self, link: Link, config: DirectoryConfig) -> None:
        self._link = link
        self._resource = config.resource
        self._reader = Reader(link, page_size=config.page_size)
        dse = self._read_root_dse()
        default = _first(dse, "defaultNamingContext")
        base = self.resolve_container(config.base_dn or default, field="spec.baseDN")
        contexts = tuple(_text(value) for value in dse.attributes.get("namingContexts", ()))
        context = naming_context_of(base.dn, contexts) or default
        level = _first(dse, "domainFunctionality")
        self.root = RootInfo(
            server=link.url,
            base_dn=base.dn,
            domain=domain_of(context),
            functional_level=FUNCTIONAL_LEVELS.get(level, level),
            naming_contexts=contexts,
            invocation_id=self._read_invocation_id(_first(dse, "dsServiceName")),
        )
        self._context = self.resolve_container(context, field="spec.baseDN")
        self._schema = _first(dse, "schemaNamingContext")
        self._deltas = Deltas(
            self._reader,
            context=self._context,
            offered=DIRSYNC.encode() in dse.attributes.get("supportedControl", ()),
            invocation_id=self.root.invocation_id,
            deleted_objects=self._deleted_objects,
            sees_deleted=self.can_read_deleted,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._link.close()

    def resolve_container(self, dn: str, *, field: str = "spec.baseDN") -> Container:
        """Find the object a DN names.

        Args:
            dn: as a person wrote it.
            field: path of the field it was written in, for the error.

        Raises:
            ConfigurationError: `BaseNotFound`: there is none, or the account may not read it.
        """
        raw = self._reader.one(_look_at(dn), absent=_NOT_THERE)
        if raw is None:
            raise self._not_found(field)
        return Container(guid=guid_of(raw), dn=parse_extended_name(raw.dn).dn)

    def resolve_container_guid(self, guid: str) -> Container | None:
        """Find an object by GUID, wherever it was moved; `None` when it is gone or a tombstone."""
        raw = self._reader.one(_look_at(f"<GUID={guid}>"), absent=_NOT_THERE)
        if raw is None:
            return None
        return Container(guid=guid_of(raw), dn=parse_extended_name(raw.dn).dn)

    def containers(self, base_dn: str) -> Iterator[SourceEntry]:
        """Read the tree below and with `base_dn`: what may hold users, groups and contacts.

        Raises:
            ConfigurationError: `BaseNotFound`.
        """
        return self._read(base_dn, (), _CONTAINER_FILTER)

    def read_all(self, base_dn: str, attributes: Sequence[str]) -> Iterator[SourceEntry]:
        """Read all users, groups and contacts below `base_dn`, and the containers of the tree.

        Groups come with all their members. Take `current_cookie()` first, so that what changes
        during the read is told by the next `changes()`.

        Raises:
            ConfigurationError: `BaseNotFound`.
        """
        return self._read(base_dn, attributes, _OBJECT_FILTER)

    def read_guid(self, guid: str, attributes: Sequence[str]) -> SourceEntry | None:
        """Read one object by GUID, with all its members.

        Returns:
            The object; with `deleted` when it is a tombstone; `None` when nothing is found, which
            is no proof of a deletion: the account may not see it.
        """
        with self._naming():
            return self._reader.by_guid(guid, Wanted(attributes))

    def current_cookie(self) -> bytes:
        """Give a cookie of now; empty when `delta_method` is FullComparison."""
        return self._deltas.current_cookie()

    def changes(self, cookie: bytes, attributes: Sequence[str]) -> Iterator[ChangePage]:
        """Read what changed in the whole naming context since `cookie`, tombstones included.

        Entries hold what changed only, or are whole, with `()` for what is not set. Children of a
        renamed or moved container do not come with it. Of the lists only `member` is told by what
        came and left; others are given whole.

        Beside what was asked for, by DirSync `isDeleted` comes, empty, with what was deleted and
        restored, and by uSNChanged `memberOf` with everything.

        Raises:
            CookieRejectedError: read everything once, with a new cookie.
        """
        with self._naming():
            yield from self._deltas.changes(cookie, attributes, _OBJECT_FILTER)

    def change_times(self, guids: Iterable[str]) -> dict[str, dt.datetime]:
        """Look up when this server took the last change of objects, to the second.

        Tombstones included, where the account sees them; who is not found is absent.
        """
        with self._naming():
            return read_change_times(self._reader, self._context.dn, guids)

    @property
    def delta_method(self) -> tuple[str, str]:
        """How changes can be read and the reason, for example (`DirSync`, `ObjectSecurity`)."""
        return self._deltas.method

    def can_read_deleted(self) -> bool:
        """Say whether the account sees tombstones.

        Listing the container of deleted objects takes rights on it that only administrators have
        by default (`LCRP`). A tombstone in it proves them; in a domain that never deleted anything,
        attributes of the container itself do: others see no more than that it is there.
        """
        search = Search(
            base=self._deleted_objects,
            scope=ONE_LEVEL,
            attributes=["objectGUID"],
            controls=(SHOW_DELETED,),
        )
        try:
            if next(Reader(self._link, page_size=1).pages(search), None) is not None:
                return True
            container = self._reader.one(search, absent=_NOT_THERE)
        except ReadFailedError as error:
            if error.code in NOT_NOW:
                raise
            return False
        return container is not None and "objectGUID" in container.attributes

    def can_stamp(self) -> bool:
        """Say whether the account may write anchors of users; `granting_command` grants it."""
        return may_stamp(Reader(self._link, page_size=1), self.root.base_dn)

    @property
    def naming_context(self) -> str:
        """DN of the root of the naming context that changes are read of."""
        return self._context.dn

    @property
    def deleted_objects_dn(self) -> str:
        """The container of deleted objects, as a person names it."""
        return f"CN=Deleted Objects,{self._context.dn}"

    @property
    def _deleted_objects(self) -> str:
        return f"<WKGUID={_DELETED_OBJECTS},{self._context.dn}>"

    def schema_attributes(self, names: Sequence[str]) -> dict[str, SchemaAttribute]:
        """Look attributes up in the schema, by folded name; what it does not know is absent."""
        return read_schema(self._reader, self._schema, names)

    def unreadable_attributes(self, names: Sequence[str]) -> tuple[str, ...]:
        """List which of these attributes the account can read of no user, group or contact."""
        known = self.schema_attributes(names).values()
        first_ones = Reader(self._link, page_size=1)
        return unreadable(first_ones, self.root.base_dn, f"(|{_OBJECTS})", list(known))

    def _read(
        self, base_dn: str, attributes: Sequence[str], object_filter: str
    ) -> Iterator[SourceEntry]:
        wanted = Wanted(attributes)
        search = Search(
            base=base_dn,
            scope=SUBTREE,
            attributes=wanted.request(self._reader.member_range(0)),
            filter=object_filter,
            controls=(EXTENDED_DN,),
        )
        try:
            with self._naming():
                for raw in self._reader.pages(search):
                    yield self._reader.complete(raw, wanted)
        except ReadFailedError as error:
            if error.code in _NOT_THERE:
                raise self._not_found("spec.baseDN") from error
            raise

    def _read_root_dse(self) -> RawEntry:
        raw = self._reader.one(Search(base="", scope=BASE, attributes=_ROOT_ATTRIBUTES))
        if raw is None:
            raise MalformedAnswerError("The server has no root DSE.", resource=self._resource)
        return raw

    def _read_invocation_id(self, settings_dn: str) -> str | None:
        if not settings_dn:
            return None
        search = Search(base=settings_dn, scope=BASE, attributes=["invocationId"])
        raw = self._reader.one(search, absent=_NOT_THERE)
        values = raw.attributes.get("invocationId") if raw else None
        return guid_from_bytes(values[0]) if values else None

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Say of which directory an answer was that could not be understood."""
        try:
            yield
        except MalformedAnswerError as error:
            error.resource = error.resource or self._resource
            raise

    def _not_found(self, field: str) -> ConfigurationError:
        return ConfigurationError(
            "BaseNotFound",
            "The directory has no object of this DN, or the account may not read it. "
            "Correct the DN, or grant the account the right to read it.",
            resource=self._resource,
            field=field,
        )


def open_session(config: DirectoryConfig, *, find: Finder = locate) -> DirectorySession:
    """Connect, verify, bind, and find the base.

    A server that lets the account in and then does not answer is left for the next one.

    Args:
        config: where to connect and how.
        find: finds the servers of a domain.

    Raises:
        BindRejectedError: the credentials were refused; no server was asked after that.
        ConfigurationError: `CertificateNotTrusted` or `BaseNotFound`.
        TransientError: `ServerUnreachable`: no server answers.
    """
    failures: list[str] = []
    last: TransientError | None = None
    for link in reach(config, failures, find=find):
        try:
            return DirectorySession(link, config)
        except TransientError as error:
            link.close()
            log.info("server_unusable", server=link.url, error=error.message)
            last = error
        except BaseException:
            link.close()
            raise
    raise last or unreachable(failures, config)


def _look_at(base: str) -> Search:
    return Search(base=base, scope=BASE, attributes=["objectGUID"], controls=(EXTENDED_DN,))


def _first(raw: RawEntry, name: str) -> str:
    values = raw.attributes.get(name, ())
    return _text(values[0]) if values else ""


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
