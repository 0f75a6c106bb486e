"""API keys: issued here, shown once, revoked here, never altered."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from ops.access.fresh import require_fresh
from ops.access.keys import KeyNotIssued, issue_key, revoke_key
from ops.access.scopes import can_write, known_scopes
from ops.admin.audited import reason_field, require_permission
from ops.admin.keyset import BY_NUMBER, Keyset
from ops.admin.lists import Column, Filters, KeysetAdmin, text_filter
from ops.admin.once import Once
from ops.admin.procedure import ASKED
from ops.approvals.asking import AlreadyAsked, ask
from ops.approvals.own import IssueKey
from ops.approvals.persons import Person
from ops.approvals.registry import CannotDo
from ops.audit.record import record
from ops.html import badge, link, page_of, when
from ops.models import ApiClient, ApiKey
from ops.webhooks.subscriptions import active_of_key

DEFAULT_LIFE = timedelta(days=90)
LONGEST_LIFE = timedelta(days=366)


class IssueForm(forms.Form):
    client = forms.ModelChoiceField(
        ApiClient.objects.filter(is_active=True),
        widget=UnfoldAdminSelectWidget,
        help_text="The program that will use the key. Clients that are not active are not listed.",
    )
    scopes = forms.MultipleChoiceField(
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What the key may do. Give it what it needs, not more.",
    )
    expires_on = forms.DateField(
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        help_text="The key works until the end of this day (UTC), at most a year from now.",
    )
    reason = reason_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scopes: Any = self.fields["scopes"]
        scopes.choices = [(name, f"{name} – {text}") for name, text in sorted(known_scopes().items())]
        self.fields["expires_on"].initial = (timezone.now() + DEFAULT_LIFE).date().isoformat()

    def clean_expires_on(self) -> Any:
        day = self.cleaned_data["expires_on"]
        if not timezone.now().date() <= day <= (timezone.now() + LONGEST_LIFE).date():
            raise forms.ValidationError("Choose a day between today and a year from now.")
        return day


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time.min, tzinfo=UTC)


class RevokeForm(forms.Form):
    reason = reason_field()


class KeyFilters(Filters):
    client = text_filter("Client", placeholder="name", max_length=60)

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        name = self.cleaned_data["client"]
        return (queryset.filter(client__name=name) if name else queryset), keyset


def state_badge(key: ApiKey) -> object:
    if key.revoked_at is not None:
        return badge("Revoked", "bad")
    if key.expires_at <= timezone.now():
        return badge("Expired", "warn")
    return badge("Valid", "good") if key.client.is_active else badge("Client not active", "warn")


def _webhooks_of(key: ApiKey) -> str:
    return f"{reverse('admin:ops_webhook_changelist')}?key={key.prefix}"


def _go_on(key: ApiKey) -> str:
    """What its revoking does not end; "" where that is nothing. They are the client's, which has other keys: whoever
    replaces a key is not to miss messages, and whoever ends a stolen one is to look whom they go to."""
    count = active_of_key(key)
    if not count:
        return ""
    told = "1 webhook made with it is" if count == 1 else f"{count} webhooks made with it are"
    look = link(_webhooks_of(key), "See where they send")
    return format_html("{} active and not ended by this. {}; pause those whose address you do not know.", told, look)


@admin.register(ApiKey)
class ApiKeyAdmin(KeysetAdmin):
    about = "Secrets by which API clients sign in. Only a digest is kept, and nobody can see it."
    when_empty = "No key was issued yet. Create an API client, then issue a key for it."
    object_template = "ops/api_key.html"
    keyset = BY_NUMBER
    filters = KeyFilters
    list_select_related = ("client",)
    columns = (
        Column("Key", lambda key: link(page_of("ops.apikey", key.pk), f"{key.prefix}…")),
        Column("Client", lambda key: key.client.name),
        Column("State", state_badge),
        Column("Scopes", lambda key: ", ".join(key.scopes)),
        Column("Expires (UTC)", lambda key: when(key.expires_at)),
        Column("Last used (UTC)", lambda key: when(key.last_used_at)),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return super().get_queryset(request).select_related("client", "created_by").defer("digest")

    def more_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("issue/", view(self.issue_view), name="ops_apikey_issue"),
            path("<int:key_id>/revoke/", view(self.revoke_view), name="ops_apikey_revoke"),
        ]

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        may = request.user.has_perm("ops.issue_apikey")
        return {"tools": [{"label": "Issue a key", "url": reverse("admin:ops_apikey_issue")}] if may else []}

    def object_context(self, request: HttpRequest, obj: ApiKey) -> dict[str, Any]:
        may = request.user.has_perm("ops.revoke_apikey") and obj.revoked_at is None
        return {**super().object_context(request, obj), "may_revoke": may}

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        assert isinstance(obj, ApiKey)
        return [
            ("Client", obj.client.name),
            ("Public part", obj.prefix),
            ("State", state_badge(obj)),
            ("Scopes", ", ".join(obj.scopes)),
            ("Issued (UTC)", when(obj.created_at)),
            ("Issued by", obj.created_by.get_username() if obj.created_by else "A command"),
            ("Expires (UTC)", when(obj.expires_at)),
            ("Revoked (UTC)", when(obj.revoked_at)),
            ("Last used (UTC)", when(obj.last_used_at)),
            ("Webhooks", link(_webhooks_of(obj), "Those made with it")),
        ]

    def issue_view(self, request: HttpRequest) -> HttpResponse:
        """The form, and the one page that ever shows the token."""
        require_permission(request, "ops.issue_apikey", "issue_key", "apikey:new")
        require_fresh(request)
        form = IssueForm(request.POST or None, initial={"client": request.GET.get("client")})
        once = Once(request, "issue_key")
        if request.method == "POST" and not once.use(request.POST.get("once", "")):
            messages.warning(
                request, "That form was used before: no second key was issued. A token is shown only once."
            )
            return HttpResponseRedirect(reverse("admin:ops_apikey_changelist"))
        if request.method == "POST" and form.is_valid() and can_write(form.cleaned_data["scopes"]):
            return self._ask(request, form.cleaned_data)
        if request.method == "POST" and form.is_valid():
            try:
                key, token = self._issue(request, form.cleaned_data)
            except KeyNotIssued as refusal:
                form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
            else:
                return self.render(request, "ops/key_issued.html", {"title": "API key", "key": key, "token": token})
        return self.render(
            request, "ops/issue_key.html", {"title": "Issue an API key", "form": form, "once": once.new()}
        )

    def _ask(self, request: HttpRequest, data: dict[str, Any]) -> HttpResponse:
        """A key that can change something takes two persons; who asked collects it."""
        command = {
            "client": data["client"].pk,
            "scopes": sorted(set(data["scopes"])),
            "expires_at": _end_of(data["expires_on"]).isoformat(),
        }
        subject = f"apiclient:{data['client'].pk}"
        limit = "Keys that can write take a second person."
        try:
            approval = ask(
                IssueKey.name, command, subject=subject, reason=data["reason"], by=Person.of(request), limit=limit
            )
        except AlreadyAsked as error:
            messages.warning(request, str(error))
            return HttpResponseRedirect(page_of("ops.approval", error.approval.pk))
        except CannotDo as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(reverse("admin:ops_apikey_changelist"))
        messages.success(request, f"{ASKED} Then you collect the key from this page.")
        return HttpResponseRedirect(page_of("ops.approval", approval.pk))

    def _issue(self, request: HttpRequest, data: dict[str, Any]) -> tuple[ApiKey, str]:
        assert isinstance(request.user, User), "the admin has let nobody else in"
        with transaction.atomic():
            key, token = issue_key(
                client=data["client"],
                scopes=data["scopes"],
                expires_at=_end_of(data["expires_on"]),
                issued_by=request.user,
            )
            detail = {"client": key.client.name, "scopes": key.scopes, "expires_at": key.expires_at.isoformat()}
            record(request, action="issue_key", subject=f"apikey:{key.prefix}", reason=data["reason"], detail=detail)
        return key, token

    def revoke_view(self, request: HttpRequest, key_id: int) -> HttpResponse:
        require_permission(request, "ops.revoke_apikey", "revoke_key", f"apikey:{key_id}")
        key = self.get_queryset(request).filter(pk=key_id).first()
        if key is None:
            raise Http404("There is no such API key.")
        require_fresh(request)
        form = RevokeForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            with transaction.atomic():
                revoked = revoke_key(key)
                if revoked:
                    record(
                        request,
                        action="revoke_key",
                        subject=f"apikey:{key.prefix}",
                        reason=form.cleaned_data["reason"],
                        detail={"client": key.client.name},
                    )
            if revoked:
                messages.success(request, f"The key {key.prefix}… is revoked: it opens nothing any more.")
                if told := _go_on(key):
                    messages.warning(request, told)
            else:
                messages.warning(request, "The key was revoked before; nothing changed.")
            return HttpResponseRedirect(page_of("ops.apikey", key.pk))
        context = {"title": f"Revoke {key}", "form": form, "key": key, "webhooks": _go_on(key)}
        return self.render(request, "ops/revoke_key.html", context)
