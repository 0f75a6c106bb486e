"""Who has to wait before signing in again, and letting them."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from ops.admin.keyset import Keyset
from ops.admin.lists import Column
from ops.admin.managed import ManagedAdmin, NotDone
from ops.html import badge, link, page_of, when
from ops.models import SignInLock
from ops.signin import locks


@admin.register(SignInLock)
class SignInLockAdmin(ManagedAdmin):
    about = (
        "Accounts and addresses that failed to sign in, and codes that were wrong. After too many failures there is "
        "a wait, twice as long after each further one; it ends by itself."
    )
    when_empty = "Nobody has failed to sign in."
    manage_permission = "ops.unlock_sign_in"
    keyset = Keyset(("pk",), (str,))
    columns = (
        Column("Whose failures", lambda lock: link(page_of("ops.signinlock", lock.pk), lock.label)),
        Column("State", lambda lock: state_badge(lock)),
        Column("Failures", lambda lock: lock.failures, numeric=True),
        Column("Last one (UTC)", lambda lock: when(lock.failed_at)),
        Column("Waits until (UTC)", lambda lock: when(lock.blocked_until) if locks.is_blocked(lock) else "–"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[SignInLock]:
        """Names that nobody has are counted in buckets that mean nothing to a reader."""
        return super().get_queryset(request).exclude(key__startswith="name:")

    def more_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.unlock_view)
        return [path("<path:key>/unlock/", view, name="ops_signinlock_unlock")]

    def tools(self, request: HttpRequest, obj: Any) -> list[dict[str, str]]:
        return [{"label": "Let them try again", "url": reverse("admin:ops_signinlock_unlock", args=[obj.pk])}]

    def unlock_view(self, request: HttpRequest, key: str) -> HttpResponse:
        lock = self.get_queryset(request).filter(pk=key).first()

        def unlock(reason: str) -> str:
            if lock is None or not locks.unlock(lock):
                raise NotDone("There is nothing to unlock any more.")
            return f"The failures of {lock.label} are forgotten."

        return self.act(
            request,
            lock,
            action="unlock_sign_in",
            button="Let them try again",
            about="The failures are forgotten, and a wait ends at once. Make sure it was the person's own mistake.",
            do=unlock,
            back=reverse("admin:ops_signinlock_changelist"),
            sensitive=True,
        )

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        assert isinstance(obj, SignInLock)
        return [
            ("Whose failures", obj.label),
            ("State", state_badge(obj)),
            ("Failures", obj.failures),
            ("Last one (UTC)", when(obj.failed_at)),
            ("Waits until (UTC)", when(obj.blocked_until) if locks.is_blocked(obj) else "–"),
        ]


def state_badge(lock: SignInLock) -> object:
    return badge("Has to wait", "bad") if locks.is_blocked(lock) else badge("May try", "good")
