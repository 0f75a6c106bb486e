"""Configuration, with and without a trailing slash."""

from django.urls import re_path

from ops.config import views

urlpatterns = [
    re_path(r"^config/?$", views.config, name="config"),
    re_path(r"^config/timeouts/?$", views.config_timeouts, name="config-timeouts"),
]
