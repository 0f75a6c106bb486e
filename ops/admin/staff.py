"""Staff and their roles. Only a superuser (`manage.py createsuperuser`) changes them; auditors may look."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectMultipleWidget

from ops.admin.audited import AuditedAdmin, ReasonMixin

admin.site.unregister(User)
admin.site.unregister(Group)


class StaffChangeForm(ReasonMixin, UserChangeForm):
    pass


class StaffCreationForm(ReasonMixin, UserCreationForm):
    pass


class StaffPasswordForm(ReasonMixin, AdminPasswordChangeForm):
    pass


class RoleForm(ReasonMixin, forms.ModelForm):
    class Meta:
        model = Group
        fields = ("name", "permissions")


@admin.register(User)
class StaffAdmin(AuditedAdmin, DjangoUserAdmin):
    """Members of staff are never deleted, since events and entries name them: take “active” away instead."""

    form = StaffChangeForm
    add_form = StaffCreationForm
    change_password_form = StaffPasswordForm
    list_display = ("username", "first_name", "last_name", "is_active", "is_staff", "is_superuser")
    list_filter = ("is_active", "is_staff", "groups")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("May", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
        ("Why", {"fields": ("reason",)}),
    )
    add_fieldsets = ((None, {"fields": ("username", "usable_password", "password1", "password2", "reason")}),)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic():  # the change and its record
            return super().user_change_password(request, id, form_url)

    def audit_detail(self, obj: Any, message: Any) -> Any:
        return {
            "changed": message,
            "roles": sorted(obj.groups.values_list("name", flat=True)),
            "is_active": obj.is_active,
            "is_staff": obj.is_staff,
            "is_superuser": obj.is_superuser,
        }


@admin.register(Group)
class RoleAdmin(AuditedAdmin, DjangoGroupAdmin):
    form = RoleForm
    fields = ("name", "permissions", "reason")
    filter_horizontal = ()
    formfield_overrides = {}

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any) -> Any:
        kwargs["widget"] = UnfoldAdminSelectMultipleWidget(attrs={"size": 20})
        return super().formfield_for_manytomany(db_field, request, **kwargs)
