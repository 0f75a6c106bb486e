"""Query parameters: each is known, and there once."""

from rest_framework.request import Request

from accounts.api.fields import did_you_mean
from accounts.domain.errors import ErrorCode, Refusal


def refuse_unknown_parameters(request: Request, *known: str) -> None:
    """A misspelt filter must not answer with everything, nor one of two with what the caller did not mean.

    Raises:
        Refusal: `unknown_field` or `validation_failed`, naming the query parameter.
    """
    for name, values in request.query_params.lists():
        if name not in known:
            instead = did_you_mean(name, known) or f" Known are: {', '.join(known) or 'none here'}."
            raise Refusal(ErrorCode.UNKNOWN_FIELD, f"There is no such query parameter.{instead}", field=name[:60])
        if len(values) > 1:
            raise Refusal(ErrorCode.VALIDATION_FAILED, "Send this query parameter once.", field=name)
