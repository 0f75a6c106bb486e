"""What is kept of signing in."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models


class SecondFactor(models.Model):
    """A member of staff's authenticator app. It is written when its first code has been shown to be right."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="second_factor"
    )
    salt = models.BinaryField(max_length=40, help_text="The secret itself is not kept: see ops.derived.")
    last_step = models.BigIntegerField(help_text="Of the last code that was taken: no older one counts any more.")
    recovery_digests = ArrayField(models.CharField(max_length=64), help_text="Of the recovery codes that are left.")
    enrolled_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        permissions = [("reset_second_factor", "Can reset the second factor of others")]

    def __str__(self) -> str:
        return f"second factor of {self.user}"


class Preference(models.Model):
    """What a member of staff chose for themselves."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="preference"
    )
    time_zone = models.CharField(max_length=64, blank=True, help_text="An IANA name; empty: the browser's.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"preferences of {self.user}"


class StaffSession(AbstractBaseSession):
    """A browser's session. What it is told by, `session_key`, is shown to nobody."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    signed_in_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True, help_text="When the person last did something, to the minute.")
    address = models.CharField(max_length=60)
    browser = models.CharField(max_length=200)

    class Meta:
        default_permissions = ()
        verbose_name = "session"

    @classmethod
    def get_session_store_class(cls) -> Any:
        from ops.signin.engine import SessionStore

        return SessionStore


class SignInLock(models.Model):
    """Failures of one account, one address or one person's codes: a bucket that leaks. See `ops.signin.locks`."""

    key = models.CharField(primary_key=True, max_length=60)
    label = models.CharField(max_length=200, help_text="Whose failures these are, for people.")
    failures = models.IntegerField()
    failed_at = models.DateTimeField()
    blocked_until = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ("view",)
        permissions = [("unlock_sign_in", "Can let somebody sign in who has failed too often")]
        verbose_name = "sign-in lock"

    def __str__(self) -> str:
        return self.label
