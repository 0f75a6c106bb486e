"""Debug pages, with and without a trailing slash."""

from django.urls import re_path

from ops.debug import views

urlpatterns = [
    re_path(r"^debug/state/?$", views.state, name="debug-state"),
    re_path(r"^debug/active-operations/?$", views.active, name="debug-active-operations"),
    re_path(r"^debug/stuck-operations/?$", views.stuck_operations, name="debug-stuck-operations"),
    re_path(r"^debug/cleanup/?$", views.cleanup, name="debug-cleanup"),
]
