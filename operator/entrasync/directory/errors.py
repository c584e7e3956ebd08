"""What the directory adds to the tree of `entrasync.errors`.

TransientError
+-- DirectoryError              the connection was lost while reading
    +-- CookieRejectedError     read everything once, then go on with a new cookie
    +-- ReadFailedError         the server answered a search with an error
    +-- MalformedAnswerError    the server sent what is not LDAP, or not what was asked
"""

from __future__ import annotations

from entrasync.errors import TransientError


class DirectoryError(TransientError):
    """A read failed; whatever came before is a part, never the whole.

    Whatever a server does, broken or hostile, a read ends with one of these.
    """


class CookieRejectedError(DirectoryError):
    """The directory, or the cookie itself, says that changes cannot be told from here on.

    A full read mends it.
    """

    def __init__(self, message: str, *, resource: str = "") -> None:
        super().__init__("CookieRejected", message, resource=resource)


class ReadFailedError(DirectoryError):
    """A search ended with a result other than success, so what was read is not complete.

    Args:
        code: the LDAP result code.
        message: what happened and the remedy.
        resource: `Kind/name` of the directory.
        field: path of the field to look at.
    """

    def __init__(self, code: int, message: str, *, resource: str = "", field: str = "") -> None:
        super().__init__("ReadFailed", message, resource=resource, field=field)
        self.code = code


class MalformedAnswerError(DirectoryError):
    """Bytes that are no LDAP message, or an answer that does not fit the question."""

    def __init__(self, message: str, *, resource: str = "") -> None:
        super().__init__("ReadFailed", message, resource=resource)
