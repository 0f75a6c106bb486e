"""From the password to the code to the admin.

Between the two, nobody is signed in: the session only remembers for PENDING_FOR seconds who gave the right password.
Who has no authenticator app yet, and needs one, is led to enrolment, which ends in being signed in.
"""

import time
from base64 import b64decode, b64encode
from io import BytesIO
from typing import Any

import segno
from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from unfold.forms import AuthenticationForm as AdminAuthenticationForm

from ops.access.policy import admin_policy
from ops.audit.record import record, staff_actor
from ops.conf import get_settings
from ops.signin import factor, sessions
from ops.signin.codes import check_code, code_field

PENDING = "pending_sign_in"
PENDING_FOR = 300
"""Seconds between password and code."""
SALT = "enrolment_salt"


class SignInForm(AdminAuthenticationForm):
    """One message for a wrong name, a wrong password, somebody who is not staff, and too many failures."""

    error_messages = {
        **AdminAuthenticationForm.error_messages,
        "invalid_login": (
            "The user name or the password is wrong, or was wrong too often: then wait a little, and try again."
        ),
    }


class CodeForm(forms.Form):
    code = code_field()


class EnrolForm(forms.Form):
    code = code_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].help_text = "The six digits that the app shows now."


class SignIn(LoginView):
    """The form for the password."""

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        assert isinstance(user, User)
        where = self.get_success_url()
        enrolled = factor.has_one(user)
        if not enrolled and not get_settings().second_factor_required:
            _sign_in(self.request, user, second_factor=False)
            return HttpResponseRedirect(where)
        self.request.session.flush()  # whoever was signed in here is not any more
        self.request.session[PENDING] = {
            "user": user.pk,
            "password": user.get_session_auth_hash(),
            "at": time.time(),
            "next": where,
        }
        return HttpResponseRedirect(reverse("admin:second_factor" if enrolled else "admin:enrol_second_factor"))


@never_cache
def second_factor(request: HttpRequest) -> HttpResponse:
    """The form for the code."""
    user = pending_user(request)
    if user is None:
        return HttpResponseRedirect(reverse("admin:login"))
    if not factor.has_one(user):
        return HttpResponseRedirect(reverse("admin:enrol_second_factor"))
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        wrong = check_code(request, user, form.cleaned_data["code"])
        if wrong is None:
            return HttpResponseRedirect(_complete(request, user))
        form.add_error(None, wrong)
    return page(request, "signin/code.html", {"title": "Code", "form": form})


@never_cache
def enrol_at_sign_in(request: HttpRequest) -> HttpResponse:
    """The first authenticator app of somebody who has given the right password."""
    user = pending_user(request)
    if user is None or factor.has_one(user):
        return HttpResponseRedirect(reverse("admin:second_factor" if user else "admin:login"))
    codes, answer = enrolment(request, user, template="signin/enrol.html")
    if codes is None:
        return answer
    where = _complete(request, user)
    record(request, action="enrol_second_factor", subject=staff_actor(user), reason="at the first sign-in")
    return page(request, "signin/recovery_codes.html", {"title": "Recovery codes", "codes": codes, "next": where})


def enrolment(request: HttpRequest, user: User, *, template: str) -> tuple[list[str] | None, HttpResponse]:
    """The page with the QR code; and the new recovery codes, once the app's first code came and was right."""
    salt = b64decode(request.session.get(SALT) or _new_salt(request))
    form = EnrolForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        codes = factor.enrol(user, salt, form.cleaned_data["code"])
        if codes is not None:
            del request.session[SALT]
            return codes, HttpResponse()
        form.add_error("code", "That is not the code that the app shows now. Is this machine's clock right?")
    secret = factor.in_words(factor.secret_of(salt))
    context = {"title": "Authenticator app", "form": form, "secret": secret, "username": user.get_username()}
    return None, page(request, template, context)


@never_cache
def qr_code(request: HttpRequest) -> HttpResponse:
    """The secret of the enrolment under way, for the app's camera."""
    user = pending_user(request) or request.user
    if SALT not in request.session or not isinstance(user, User):
        raise Http404("No authenticator app is being enrolled.")
    uri = factor.provisioning_uri(user, factor.secret_of(b64decode(request.session[SALT])))
    image = BytesIO()
    segno.make(uri, error="m").save(image, kind="svg", scale=5, border=4, dark="#000", light="#fff")
    return HttpResponse(image.getvalue(), content_type="image/svg+xml")


def pending_user(request: HttpRequest) -> User | None:
    """Who gave the right password in this session less than PENDING_FOR seconds ago."""
    pending = request.session.get(PENDING)
    if not pending or not 0 <= time.time() - pending["at"] < PENDING_FOR:
        return None
    user = User.objects.filter(pk=pending["user"], is_active=True).first()
    if user is None or not constant_time_compare(pending["password"], user.get_session_auth_hash()):
        return None
    return user


def page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    request.current_app = admin.site.name
    return admin_policy(TemplateResponse(request, template, {**admin.site.each_context(request), **context}))


def _complete(request: HttpRequest, user: User) -> str:
    """Signs in, and returns the URL that was wanted."""
    where: str = request.session.pop(PENDING)["next"]
    _sign_in(request, user, second_factor=True)
    return where


def _sign_in(request: HttpRequest, user: User, *, second_factor: bool) -> None:
    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
    sessions.begin(request, second_factor=second_factor)


def _new_salt(request: HttpRequest) -> str:
    salt = b64encode(factor.new_salt()).decode()
    request.session[SALT] = salt
    return salt
