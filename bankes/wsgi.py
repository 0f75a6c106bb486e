"""The WSGI application that the web server serves: Django, behind the API's fast lane."""

import os
from collections.abc import Callable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bankes.settings")

application: Callable[..., Any] = get_wsgi_application()

from accounts.api.fastlane import FastLane  # noqa: E402 - Django must be set up before
from ops.conf import get_settings  # noqa: E402

if get_settings().fast_lane:
    application = FastLane(application)
