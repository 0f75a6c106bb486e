"""Before a sensitive action the person shows once more who they are, unless they did so a moment ago.

A view calls `require_fresh(request)` before it changes anything. Where the last proof is older than
REAUTHENTICATE_AFTER seconds, the person is asked for password and code on a page that carries along what they had
sent; once they have answered, their request goes on as if it had been sent again. The admin site does that for all
of its views (`answer_with_proof`).
"""

from collections.abc import Callable

from django import forms
from django.contrib import admin
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers
from unfold.widgets import UnfoldAdminPasswordWidget

from ops.signin import factor, sessions
from ops.signin.codes import check_code, code_field

MARK = "reauthenticate"
KEPT = "kept."
NOT_CARRIED = ("password", "csrfmiddlewaretoken")
"""A password is typed again rather than sent back to the browser."""


class NotFresh(Exception):
    """The person has to show who they are before this goes on. Nothing was done."""


def require_fresh(request: HttpRequest) -> None:
    """
    Raises:
        NotFresh: the last proof is too old. The admin site asks for a new one.
    """
    if not sessions.is_fresh(request.session):
        raise NotFresh


class ProofForm(forms.Form):
    """Password, and a code where the person has an authenticator app. `clean` makes the session fresh."""

    password = forms.CharField(
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}), max_length=4096
    )

    def __init__(self, request: HttpRequest, data: QueryDict | None = None) -> None:
        super().__init__(data)
        assert isinstance(request.user, User), "the admin has let nobody else in"
        self.request, self.user = request, request.user
        if factor.has_one(self.user):
            self.fields["code"] = code_field()

    def clean(self) -> None:
        """The code is looked at only when the password is right, so that a typing error does not use it up."""
        if self.errors:
            return
        given = authenticate(self.request, username=self.user.get_username(), password=self.cleaned_data["password"])
        if given is None or given.pk != self.user.pk:
            raise forms.ValidationError(
                "The password is wrong, or was wrong too often: wait a little, then try again."
            )
        if "code" in self.fields and (wrong := check_code(self.request, self.user, self.cleaned_data["code"])):
            raise forms.ValidationError(wrong)
        sessions.prove(self.request.session)


def answer_with_proof(request: HttpRequest, answer: Callable[[], HttpResponse]) -> HttpResponse:
    """`answer()`, or the page that asks for a proof first; and when that page comes back, what was asked for before.
    Call it for signed-in staff only."""
    if request.method == "POST" and MARK in request.POST:
        form = ProofForm(request, request.POST)
        kept = _kept(request.POST)
        if not form.is_valid():
            return _ask(request, form, kept)
        if kept is None:
            return HttpResponseRedirect(request.get_full_path())
        request.POST = kept  # type: ignore[assignment]
    try:
        return answer()
    except NotFresh:
        return _ask(request, ProofForm(request), request.POST if request.method == "POST" else None)


def _ask(request: HttpRequest, form: ProofForm, sent: QueryDict | None) -> HttpResponse:
    """`sent` is what the person had typed, None where they have not typed yet."""
    carried = [
        (f"{KEPT}{name}", value)
        for name, values in (sent or QueryDict()).lists()
        for value in values
        if not any(word in name for word in NOT_CARRIED)
    ]
    context = {
        **admin.site.each_context(request),
        "title": "Is it still you?",
        "form": form,
        "carried": carried,
        "mark": "POST" if sent is not None else "GET",
        "changes": sent is not None,
    }
    response = TemplateResponse(request, "signin/again.html", context)
    add_never_cache_headers(response)
    return response


def _kept(sent: QueryDict) -> QueryDict | None:
    if sent[MARK] != "POST":
        return None
    kept = QueryDict(mutable=True)
    for name, values in sent.lists():
        if name.startswith(KEPT):
            kept.setlist(name.removeprefix(KEPT), values)
    return kept
