"""Metrics, with and without a trailing slash."""

from django.urls import re_path

from ops.metrics import views

urlpatterns = [
    re_path(r"^metrics/?$", views.metrics, name="metrics"),
    re_path(r"^metrics/(?P<component>[a-z_]{1,40})/?$", views.component, name="metrics-component"),
]
