"""Reading back a tenant page by page, though how an answer says that there is more is a guess."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import structlog

from entrasync.entra.contracts import ReadBackPage
from entrasync.entra.faults import RequestRefusedError
from entrasync.entra.refusals import CookieRefusedError, UnknownFaultError
from entrasync.entra.requests import ReadBackRequest
from entrasync.errors import TransientError

MAX_PAGES: Final = 100_000

log = structlog.get_logger()


def read_pages(
    fetch: Callable[[ReadBackRequest], ReadBackPage], first: ReadBackRequest, *, resource: str
) -> Iterator[ReadBackPage]:
    """Pages from the one `first` asks for to the last.

    While an answer says that there is more, or gives a new cookie together with objects, the next
    page is asked for. An answer without a cookie is taken as the only page, with a warning. A
    cookie that the service does not take is met once: a page with `restart` tells that all before
    is void, and the tenant is read in full from the start. A fault nobody has described is taken
    for such a refusal too, because how the service words it is not known.

    Args:
        fetch: asks for one page.
        first: where to begin.
        resource: `Kind/name` that errors point at.

    Raises:
        TransientError: more is promised without a way on, or there is no end.
    """
    request, restarted = first, False
    for _ in range(MAX_PAGES):
        refusal = None
        try:
            page = fetch(request)
        except (CookieRefusedError, RequestRefusedError, UnknownFaultError) as error:
            if request.input_cookie is None or restarted:
                raise
            refusal = error.message
        if refusal is not None:
            log.warning("read_back_restarted", message=refusal)
            restarted, request = True, ReadBackRequest(is_full_sync=True)
            yield ReadBackPage(objects=(), restart=True)
            continue
        yield page
        if page.cookie is None:
            log.warning("read_back_without_cookie", objects=len(page.objects), more=page.more)
        progressed = page.cookie is not None and page.cookie != request.input_cookie
        if not progressed or not (page.more or page.objects):
            if page.more:
                raise TransientError(
                    "RunFailed",
                    "the sync service says there is more to read, but not where to go on",
                    resource=resource,
                )
            return
        request = ReadBackRequest(input_cookie=page.cookie, is_full_sync=request.is_full_sync)
    raise TransientError(
        "RunFailed", "reading back the tenant did not come to an end", resource=resource
    )
