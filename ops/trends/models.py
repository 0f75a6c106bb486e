"""The samples."""

from django.db import models


class Sample(models.Model):
    """One figure at one moment. Money is in minor units: the column is exact."""

    at = models.DateTimeField()
    name = models.CharField(max_length=60)
    value = models.DecimalField(max_digits=26, decimal_places=4)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["name", "at"], name="sample_name_at")]

    def __str__(self) -> str:
        return f"{self.name} {self.value} at {self.at}"
