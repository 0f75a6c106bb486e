"""API clients: who may call the API, and on which accounts."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ops.admin.audited import AuditedAdmin, ReasonMixin
from ops.html import link
from ops.models import ApiClient


class ClientForm(ReasonMixin, forms.ModelForm):
    class Meta:
        model = ApiClient
        fields = ("name", "reach", "is_active")


@admin.register(ApiClient)
class ApiClientAdmin(AuditedAdmin):
    """A client's name stands in events, so it is fixed once the client is there, and no client is deleted."""

    form = ClientForm
    list_display = ("name", "reach", "is_active", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: ApiClient | None = None) -> tuple[str, ...]:
        return ("name", "keys") if obj else ("keys",)

    def get_fields(self, request: HttpRequest, obj: ApiClient | None = None) -> tuple[str, ...]:
        return ("name", "reach", "is_active", *(("keys",) if obj else ()), "reason")

    @admin.display(description="API keys")
    def keys(self, client: ApiClient) -> SafeString:
        of_client = f"{reverse('admin:ops_apikey_changelist')}?client={client.name}"
        issue = f"{reverse('admin:ops_apikey_issue')}?client={client.pk}"
        return format_html("{} · {}", link(of_client, "Keys of this client"), link(issue, "Issue a key"))

    def audit_detail(self, obj: Any, message: Any) -> Any:
        return {"changed": message, "reach": obj.reach, "is_active": obj.is_active}
