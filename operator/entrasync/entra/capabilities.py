"""The operation `Capabilities`: which clients the service says it accepts.

That the operation exists, takes no members and answers with a string that holds an XML document
was seen in working clients, as were the names in that document. How deep the elements lie in each
other is inferred from a sample, so that they are looked for by local name at any depth.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from entrasync.entra.contracts import CAPABILITIES, ContractError, RequestHeader
from entrasync.entra.envelope import boolean_of, is_nil
from entrasync.entra.infoset import DEFAULT_LIMITS, CodecLimits
from entrasync.entra.requests import encode_request
from entrasync.entra.responses import encode_response, open_response

MAX_DOCUMENT: Final = 64 * 1024
"""Most characters of the document; the real one has a few hundred."""

_LATEST: Final = "LatestProductVersion"
_MINIMUM: Final = "MinimumProductVersion"
_BLACK_LIST: Final = "BlackList"
_ENABLED: Final = "Enabled"
_LISTED: Final = "ClientVersion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the service says of the clients it accepts; what it leaves out is empty."""

    latest_product_version: str = ""
    """Newest version of the client, for example `3.2`."""
    minimum_product_version: str = ""
    """Oldest version of the client that is accepted, for example `1.0`."""
    black_list_enabled: bool = False
    """Whether the listed versions are refused."""
    black_listed_versions: tuple[str, ...] = ()
    """Versions of clients on the list."""


def encode_capabilities_request(header: RequestHeader) -> bytes:
    """Ask which clients are accepted; the request has no members."""
    return encode_request(header, CAPABILITIES, lambda _: None)


def encode_capabilities_response(
    capabilities: Capabilities, *, relates_to: str | None = None
) -> bytes:
    """Answer which clients are accepted."""
    document = write_capabilities(capabilities)
    return encode_response(CAPABILITIES, lambda writer: writer.text(document), relates_to)


def decode_capabilities_response(data: bytes, limits: CodecLimits = DEFAULT_LIMITS) -> Capabilities:
    """What the service says of the clients it accepts.

    Raises:
        SoapFaultError: the answer is a fault.
        CodecError: the answer is nothing that can be read.
    """
    result = open_response(data, limits, operation=CAPABILITIES)
    if is_nil(result) or result.children:
        raise ContractError("the answer holds no document of capabilities")
    return read_capabilities(result.text)


def write_capabilities(capabilities: Capabilities) -> str:
    """The document, nested as in the sample."""
    listed = capabilities.black_listed_versions or ("",)
    enabled = "true" if capabilities.black_list_enabled else "false"
    content = _element(_LATEST, escape(capabilities.latest_product_version))
    content += _element(_MINIMUM, escape(capabilities.minimum_product_version))
    versions = "".join(_element(_LISTED, escape(each)) for each in listed)
    content += _element(_BLACK_LIST, _element(_ENABLED, enabled) + versions)
    for name in ("Application", "Protocol", "MicrosoftOnline", "ServiceCapability"):
        content = _element(name, content)
    return content


def _element(name: str, content: str) -> str:
    return f"<{name}>{content}</{name}>"


def read_capabilities(document: str) -> Capabilities:
    """Reads the document.

    A document that is too long, or declares anything, is refused before a parser sees it: without
    a declaration there are no entities, neither large nor foreign ones.

    Raises:
        ContractError: it is no such document.
    """
    if len(document) > MAX_DOCUMENT:
        raise ContractError("the document of capabilities is too long")
    if "<!" in document:
        raise ContractError("the document of capabilities declares something")
    try:
        root = ET.fromstring(document)  # noqa: S314 - see above
    except (ET.ParseError, ValueError):  # the latter for characters that cannot be encoded
        raise ContractError("the document of capabilities is no XML") from None
    return Capabilities(
        latest_product_version=_first(root, _LATEST),
        minimum_product_version=_first(root, _MINIMUM),
        black_list_enabled=boolean_of(_first(_black_list(root), _ENABLED) or "false"),
        black_listed_versions=tuple(filter(None, _texts(_black_list(root), _LISTED))),
    )


def _black_list(root: ET.Element) -> ET.Element:
    """The list; `Enabled` and `ClientVersion` elsewhere mean something else."""
    return next(_named(root, _BLACK_LIST), ET.Element(_BLACK_LIST))


def _named(root: ET.Element, name: str) -> Iterator[ET.Element]:
    return (each for each in root.iter() if each.tag.rpartition("}")[2] == name)


def _texts(root: ET.Element, name: str) -> list[str]:
    return [(each.text or "").strip() for each in _named(root, name)]


def _first(root: ET.Element, name: str) -> str:
    return next(iter(_texts(root, name)), "")
