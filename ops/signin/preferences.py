"""What members of staff choose for themselves: the time zone in which the admin shows times."""

from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget

from ops.audit.record import record, staff_actor
from ops.signin.models import Preference
from ops.signin.views import page

AREAS = (
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
)
"""Of the IANA's time zones those that are named for a place; the rest are aliases of them."""
BROWSER = ("", "As my browser has it")


@lru_cache(maxsize=1)
def time_zones() -> list[tuple[str, Any]]:
    """Choices, by area."""
    known = sorted(available_timezones())
    by_area = [
        (area, [(name, name.replace("_", " ")) for name in known if name.startswith(f"{area}/")]) for area in AREAS
    ]
    return [BROWSER, ("UTC", "UTC"), *((area, names) for area, names in by_area if names)]


class TimeZoneForm(forms.Form):
    time_zone = forms.ChoiceField(
        label="Time zone",
        required=False,
        choices=time_zones,
        widget=UnfoldAdminSelectWidget,
        help_text="Times on all pages of the admin are shown in it. Point at one to see it in UTC; files are in UTC.",
    )


def time_zone_of(user: object) -> str:
    """An IANA name; "" for the browser's. It costs no query: the sign-in's backend brings it with the user."""
    preference = getattr(user, "preference", None)
    return preference.time_zone if preference else ""


def own_time_zone(request: HttpRequest) -> HttpResponse:
    user = request.user
    assert isinstance(user, User), "the admin has let nobody else in"
    before = time_zone_of(user)
    form = TimeZoneForm(request.POST or None, initial={"time_zone": before})
    if request.method == "POST" and form.is_valid():
        chosen = form.cleaned_data["time_zone"]
        if chosen != before:
            _choose(request, user, before, chosen)
        messages.success(request, f"Times are shown in {chosen or 'the zone of your browser'}.")
        return HttpResponseRedirect(reverse("admin:own_time_zone"))
    return page(request, "signin/time_zone.html", {"title": "My time zone", "form": form, "now": timezone.now()})


def _choose(request: HttpRequest, user: User, before: str, chosen: str) -> None:
    actor = staff_actor(user)
    with transaction.atomic():
        Preference.objects.update_or_create(user=user, defaults={"time_zone": chosen})
        detail = {"from": before, "to": chosen}
        record(request, action="choose_time_zone", subject=actor, reason="for oneself", actor=actor, detail=detail)
