"""Where each floor's pages hang."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from accounts.api.pages import Docs, Problem, ProblemList

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="root"),
    path("admin/", admin.site.urls),
    path("api/v1/", include("accounts.api.urls")),
    path("api/docs/", Docs.as_view(), name="api-docs"),
    path("problems/", ProblemList.as_view(), name="problems"),
    re_path(r"^problems/(?P<code>[a-z_]{1,60})/?$", Problem.as_view(), name="problem"),
    path("", include("ops.health.urls")),
    path("", include("ops.metrics.urls")),
    path("", include("ops.config.urls")),
    path("", include("ops.debug.urls")),
]

handler400 = "accounts.api.handlers.bad_request"
handler403 = "accounts.api.handlers.permission_denied"
handler404 = "accounts.api.handlers.not_found"
handler500 = "accounts.api.handlers.server_error"
