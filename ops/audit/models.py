"""What staff looked at in bulk."""

from django.db import models


class Viewing(models.Model):
    """A list or search that a member of staff looked at: one row for the same list with the same filters within an
    hour, however many pages of it."""

    actor = models.CharField(max_length=200)
    what = models.CharField(max_length=100, help_text="The list, such as accounts.account.")
    filters = models.CharField(max_length=1000, help_text="As they stood in the address; empty: none.")
    hour = models.DateTimeField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    pages = models.IntegerField()
    rows = models.BigIntegerField(help_text="Rows that were shown, all pages together.")
    address = models.CharField(max_length=60, help_text="Where the last request came from.")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["actor", "what", "hour", "filters"], name="one_viewing_an_hour"),
        ]
        indexes = [
            models.Index(fields=["what", "id"], name="viewing_what_id"),
            models.Index(fields=["actor", "id"], name="viewing_actor_id"),
            models.Index(fields=["last_at"], name="viewing_last_at"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} looked at {self.what}"
