"""API clients: who may call the API, and on which accounts."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ops.access.scopes import can_write
from ops.admin.audited import ReasonMixin
from ops.admin.exported import ExportedAdmin
from ops.admin.lists import Column
from ops.html import link, when
from ops.models import ApiClient


class ClientForm(ReasonMixin, forms.ModelForm):
    class Meta:
        model = ApiClient
        fields = ("name", "reach", "is_active")

    def clean_reach(self) -> str:
        """A key that can write takes two persons, who saw the reach: one alone does not widen it."""
        reach: str = self.cleaned_data["reach"]
        if reach == ApiClient.Reach.ALL and self.instance.pk:
            # Locked, so that no such key is collected in the meantime.
            client = ApiClient.objects.select_for_update().get(pk=self.instance.pk)
            keys = client.keys.filter(revoked_at=None, expires_at__gt=timezone.now()).order_by("pk")
            writing = [f"{key.prefix}…" for key in keys if can_write(key.scopes)]
            if writing and client.reach != reach:
                raise forms.ValidationError(
                    f"Keys of this client can write: {', '.join(writing)}. A second person agreed to this reach: "
                    "revoke the key, and ask for a new one with the wider reach."
                )
        return reach


@admin.register(ApiClient)
class ApiClientAdmin(ExportedAdmin):
    """A client's name stands in events, so it is fixed once the client is there, and no client is deleted."""

    needs_fresh_sign_in = True
    form = ClientForm
    list_display = ("name", "reach", "is_active", "created_at")
    export_columns = (
        Column("Name", lambda client: client.name),
        Column("Reach", lambda client: client.get_reach_display()),
        Column("Active", lambda client: client.is_active),
        Column("Created (UTC)", lambda client: when(client.created_at)),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: ApiClient | None = None) -> tuple[str, ...]:
        return ("name", "keys", "keys_and_issue") if obj else ("keys", "keys_and_issue")

    def get_fields(self, request: HttpRequest, obj: ApiClient | None = None) -> tuple[str, ...]:
        keys = "keys_and_issue" if request.user.has_perm("ops.issue_apikey") else "keys"
        return ("name", "reach", "is_active", *((keys,) if obj else ()), "reason")

    @admin.display(description="API keys")
    def keys(self, client: ApiClient) -> SafeString:
        return link(f"{reverse('admin:ops_apikey_changelist')}?client={client.name}", "Keys of this client")

    @admin.display(description="API keys")
    def keys_and_issue(self, client: ApiClient) -> SafeString:
        issue = f"{reverse('admin:ops_apikey_issue')}?client={client.pk}"
        return format_html("{} · {}", self.keys(client), link(issue, "Issue a key"))

    def audit_detail(self, obj: Any, message: Any) -> Any:
        return {"changed": message, "reach": obj.reach, "is_active": obj.is_active}
