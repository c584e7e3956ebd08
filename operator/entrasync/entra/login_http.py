"""HTTP as msal wants it, with the cloud's trust."""

from __future__ import annotations

from typing import Any

import httpx

from entrasync.entra.clouds import Cloud
from entrasync.entra.transport import TOKEN_SECONDS, http_client


class LoginHttp:
    """What msal needs of an HTTP client, by httpx with the cloud's trust."""

    def __init__(self, cloud: Cloud) -> None:
        self._client = http_client(cloud, read_seconds=TOKEN_SECONDS)
        self.discovery = (0, "")
        """Status and text of the last GET: msal sends none but for the OpenID configuration."""
        self.posted = 0
        """Status of the last POST."""
        self.retry_after = ""
        """What the last answer said of how long to wait."""

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> _HttpAnswer:
        """As msal calls it."""
        answer = self._noted(self._client.get(url, params=params, headers=headers))
        self.discovery = answer.status_code, answer.text
        return answer

    def post(
        self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any
    ) -> _HttpAnswer:
        """As msal calls it."""
        # msal gives the assertion as bytes, of which httpx would send the `repr`
        data = {
            key: value.decode() if isinstance(value, bytes) else value
            for key, value in (data or {}).items()
        }
        answer = self._noted(self._client.post(url, params=params, data=data, headers=headers))
        self.posted = answer.status_code
        return answer

    def _noted(self, answer: httpx.Response) -> _HttpAnswer:
        self.retry_after = answer.headers.get("retry-after", "")
        return _HttpAnswer(answer)

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()


class _HttpAnswer:
    """What msal reads of an answer."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer
        self.status_code = answer.status_code
        self.text = answer.text
        self.headers = dict(answer.headers)

    def raise_for_status(self) -> None:
        self._answer.raise_for_status()
