"""Staff and their roles. Only a superuser (`manage.py createsuperuser`) changes them; auditors may look."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectMultipleWidget

from ops.access.fresh import require_fresh
from ops.admin.audited import ReasonMixin, require_permission
from ops.admin.exported import ExportedAdmin
from ops.admin.lists import Column
from ops.admin.managed import ReasonForm
from ops.audit.record import record
from ops.html import when
from ops.signin import factor, sessions
from ops.signin.models import SecondFactor

admin.site.unregister(User)
admin.site.unregister(Group)


class StaffChangeForm(ReasonMixin, UserChangeForm):
    pass


class StaffCreationForm(ReasonMixin, UserCreationForm):
    pass


class StaffPasswordForm(ReasonMixin, AdminPasswordChangeForm):
    """Not for taking a password away: to keep somebody out is to take “active” away."""

    field_order = ("password1", "password2", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)


class RoleForm(ReasonMixin, forms.ModelForm):
    class Meta:
        model = Group
        fields = ("name", "permissions")


@admin.register(User)
class StaffAdmin(ExportedAdmin, DjangoUserAdmin):
    """Members of staff are never deleted, since events and entries name them: take “active” away instead."""

    list_title = "Staff"
    needs_fresh_sign_in = True
    change_form_before_template = "signin/staff_second_factor.html"
    form = StaffChangeForm
    add_form = StaffCreationForm
    change_password_form = StaffPasswordForm
    change_user_password_template = "signin/set_password.html"  # noqa: S105 - the name of a file
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

    export_columns = (
        Column("User name", lambda user: user.username),
        Column("First name", lambda user: user.first_name),
        Column("Last name", lambda user: user.last_name),
        Column("E-mail", lambda user: user.email),
        Column("Active", lambda user: user.is_active),
        Column("Staff", lambda user: user.is_staff),
        Column("Superuser", lambda user: user.is_superuser),
        Column("Roles", lambda user: ", ".join(sorted(group.name for group in user.groups.all()))),
        Column("Last sign-in (UTC)", lambda user: when(user.last_login)),
        Column("Joined (UTC)", lambda user: when(user.date_joined)),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """A user name stays: entries and events name people by it, and one given up could become another's."""
        return ("username", *self.readonly_fields) if obj else self.readonly_fields

    def export_rows(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.prefetch_related("groups")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.reset_second_factor_view)
        return [
            path("<int:user_id>/reset-second-factor/", view, name="auth_user_reset_second_factor"),
            *super().get_urls(),
        ]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {**(extra_context or {}), "second_factor": _second_factor(object_id)}
        return super().changeform_view(request, object_id, form_url, context)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        if self.has_change_permission(request):
            require_fresh(request)
        with transaction.atomic():  # the change, its record, and the end of the person's sessions
            response = super().user_change_password(request, id, form_url)
            if request.method == "POST" and response.status_code == 302 and (user := self.get_object(request, id)):
                sessions.end_all(user, but=request.session if user.pk == request.user.pk else None)
            return response

    def reset_second_factor_view(self, request: HttpRequest, user_id: int) -> HttpResponse:
        """For a lost phone: the next sign-in leads to enrolment. Never one's own, which has a page of its own."""
        action, subject = "reset_second_factor", f"user:{user_id}"
        require_permission(request, "ops.reset_second_factor", action, subject)
        user = User.objects.filter(pk=user_id).first()
        if user is None:
            raise Http404("There is no such member of staff.")
        back = reverse("admin:auth_user_change", args=[user_id])
        if user.pk == request.user.pk:
            messages.error(request, "Nobody resets the own second factor: use another app on “My sign-in” instead.")
            return HttpResponseRedirect(back)
        require_fresh(request)
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            with transaction.atomic():
                had_one, ended = factor.reset(user), sessions.end_all(user)
                detail = {"name": str(user), "had_one": had_one, "sessions_ended": ended}
                record(request, action=action, subject=subject, reason=form.cleaned_data["reason"], detail=detail)
            messages.success(request, f"{user} sets up an authenticator app at the next sign-in.")
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Reset the second factor: {user}",
            "form": form,
            "about": (
                "The authenticator app and the recovery codes count no more, all sessions end, and whoever knows the "
                "password sets up a new app at the next sign-in. Make sure by another way who it is that asks."
            ),
            "button": "Reset the second factor",
            "back": back,
        }
        return TemplateResponse(request, "ops/act.html", context)

    def audit_detail(self, obj: Any, message: Any) -> Any:
        return {
            "changed": message,
            "roles": sorted(obj.groups.values_list("name", flat=True)),
            "is_active": obj.is_active,
            "is_staff": obj.is_staff,
            "is_superuser": obj.is_superuser,
        }


@admin.register(Group)
class RoleAdmin(ExportedAdmin, DjangoGroupAdmin):
    list_title = "Roles"
    needs_fresh_sign_in = True
    form = RoleForm
    fields = ("name", "permissions", "reason")
    filter_horizontal = ()
    formfield_overrides = {}
    export_columns = (
        Column("Role", lambda role: role.name),
        Column("May", lambda role: ", ".join(permissions_of(role))),
        Column("Held by", lambda role: ", ".join(sorted(user.username for user in role.user_set.all()))),
    )

    def export_rows(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.prefetch_related("permissions__content_type", "user_set")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any) -> Any:
        kwargs["widget"] = UnfoldAdminSelectMultipleWidget(attrs={"size": 20})
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def audit_detail(self, obj: Any, message: Any) -> Any:
        role = Group.objects.prefetch_related("permissions__content_type").get(pk=obj.pk)
        return {"changed": message, "permissions": permissions_of(role)}


def permissions_of(role: Group) -> list[str]:
    return sorted(f"{p.content_type.app_label}.{p.codename}" for p in role.permissions.all())


def _second_factor(object_id: str | None) -> SecondFactor | None:
    return SecondFactor.objects.filter(user_id=object_id).first() if object_id and object_id.isdecimal() else None
