"""Health, with and without a trailing slash."""

from django.urls import re_path

from ops.health import views

urlpatterns = [
    re_path(r"^health/?$", views.health, name="health"),
    re_path(r"^health/live/?$", views.live, name="health-live"),
    re_path(r"^health/ready/?$", views.ready, name="health-ready"),
    re_path(r"^health/(?P<component>[a-z_]{1,40})/?$", views.component, name="health-component"),
]
