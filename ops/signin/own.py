"""One's own sign-in: where one is signed in, the authenticator app, the recovery codes."""

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse

from ops.access.fresh import require_fresh
from ops.audit.record import record, staff_actor
from ops.signin import factor, sessions
from ops.signin.models import SecondFactor
from ops.signin.views import enrolment, page


def own_sign_in(request: HttpRequest) -> HttpResponse:
    user = _user(request)
    context = {
        "title": "My sign-in",
        "places": sessions.places(user, request.session),
        "factor": SecondFactor.objects.filter(user=user).first(),
    }
    return page(request, "signin/own.html", context)


def end_session(request: HttpRequest) -> HttpResponse:
    """By POST: `place`, the session to end, or all others where it is empty. Ending is never asked to be proved:
    whoever sees a stranger there should be quick."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    user, place = _user(request), request.POST.get("place", "")
    if place:
        ended = sessions.end(user, place)
        messages.success(request, "That session was ended.") if ended else messages.info(request, "It was over.")
    else:
        number = sessions.end_all(user, but=request.session)
        messages.success(request, f"Sessions ended: {number}. You are signed in here alone.")
    _record(request, "end_own_session", place or "all others")
    return HttpResponseRedirect(reverse("admin:own_sign_in"))


def replace_app(request: HttpRequest) -> HttpResponse:
    """Enrolment for somebody who is signed in: the new app takes the place of the one before."""
    require_fresh(request)
    user = _user(request)
    had_one = factor.has_one(user)
    codes, answer = enrolment(request, user, template="signin/replace.html")
    if codes is None:
        return answer
    request.session["second_factor"] = True
    sessions.end_all(user, but=request.session)
    _record(request, "replace_second_factor" if had_one else "enrol_second_factor", "by oneself")
    return _show_codes(request, codes)


def renew_codes(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    require_fresh(request)
    codes = factor.renew_recovery_codes(_user(request))
    _record(request, "renew_recovery_codes", "by oneself")
    return _show_codes(request, codes)


def _show_codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    context = {"title": "Recovery codes", "codes": codes, "next": reverse("admin:own_sign_in")}
    return page(request, "signin/own_recovery_codes.html", context)


def _record(request: HttpRequest, action: str, reason: str) -> None:
    record(request, action=action, subject=staff_actor(request.user), reason=reason)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User), "the admin has let nobody else in"
    return request.user
