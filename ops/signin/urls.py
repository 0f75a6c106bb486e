"""Where signing in hangs, below the admin."""

from django.contrib.admin import AdminSite
from django.urls import URLPattern, path

from ops.signin import own, preferences, views


def sign_in_urls(site: AdminSite) -> list[URLPattern]:
    """Those of people who are not signed in yet, and those of one's own page."""
    view = site.admin_view
    return [
        path("second-factor/", views.second_factor, name="second_factor"),
        path("second-factor/enrol/", views.enrol_at_sign_in, name="enrol_second_factor"),
        path("second-factor/qr.svg", views.qr_code, name="second_factor_qr"),
        path("my-sign-in/", view(own.own_sign_in), name="own_sign_in"),
        path("my-sign-in/time-zone/", view(preferences.own_time_zone), name="own_time_zone"),
        path("my-sign-in/end/", view(own.end_session), name="end_own_session"),
        path("my-sign-in/app/", view(own.replace_app), name="replace_second_factor"),
        path("my-sign-in/recovery-codes/", view(own.renew_codes), name="renew_recovery_codes"),
    ]
