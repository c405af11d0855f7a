"""Standard Webhooks (https://www.standardwebhooks.com): id, time and body are signed together. GitLab and plain git sign so."""

from __future__ import annotations

from standardwebhooks import Webhook, WebhookVerificationError

from slipway.intake.forge import Headers

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"


def signed(headers: Headers, body: bytes, secret: str) -> bool:
    """Tell whether the delivery was signed with the secret, within five minutes of now.

    :param secret: as the standard writes it: ``whsec_`` and base64.
    """
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError: a signature or a body that is none
        return False
    return True
