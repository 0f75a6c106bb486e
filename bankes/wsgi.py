"""The WSGI application: Django, for the web server's threads (`bankes.rsgi`) and for any other server."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bankes.settings")

application = get_wsgi_application()
