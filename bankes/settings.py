"""Django's settings, all derived from `ops.conf.Settings`: this module reads no environment variable itself."""

import ops.metrics.places  # noqa: F401 # isort: skip - before the first metric is made

from pathlib import Path
from typing import Any

from csp.constants import NONCE, NONE, SELF
from django.templatetags.static import static
from django.urls import reverse_lazy
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.conf import get_settings
from ops.logs import logging_config
from ops.process import application_name
from ops.timeouts.connection import BoundedConnection

CONFIG = get_settings()
BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = CONFIG.secret_key.get_secret_value()
DEBUG = CONFIG.debug
ALLOWED_HOSTS = CONFIG.allowed_hosts
CSRF_TRUSTED_ORIGINS = CONFIG.csrf_trusted_origins

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "bankes.apps.BankAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_prometheus",
    "django_structlog",
    "health_check",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "ops",
    "eventstore",
    "accounts",
]

MIDDLEWARE = [
    "ops.access.policy.HeadersMiddleware",
    "ops.access.trace.TraceMiddleware",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "ops.access.policy.PolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "bankes.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "bankes.middleware.AuthenticationMiddleware",
    "bankes.middleware.MessageMiddleware",
    "bankes.middleware.SignedInMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "bankes.urls"
WSGI_APPLICATION = "bankes.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# The time limits are PostgreSQL's own, set for each session: a client that dies or hangs cannot outlive them.
SESSION_LIMITS = {
    "statement_timeout": CONFIG.db_operation_timeout * 1000,
    "lock_timeout": CONFIG.lock_timeout_ms,
    "idle_in_transaction_session_timeout": CONFIG.transaction_timeout * 1000,
}
# Statements of a bank are short and go by keys: to plan each anew, or compile one, takes longer than to run it.
SESSION_PLANS = {"jit": "off", "plan_cache_mode": "force_generic_plan"}
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "ops.database",
        **CONFIG.database_parameters(),
        "CONN_MAX_AGE": 0,  # the pool keeps connections, not the thread
        "CONN_HEALTH_CHECKS": True,
        "ATOMIC_REQUESTS": False,
        "DISABLE_SERVER_SIDE_CURSORS": False,
        "OPTIONS": {
            **CONFIG.database_options(),
            "application_name": application_name(),
            "connect_timeout": 5,
            "options": " ".join(f"-c {name}={value}" for name, value in (SESSION_LIMITS | SESSION_PLANS).items()),
            "prepare_threshold": None,  # see `ops.database.exchange`, which prepares what is worth it
            "pool": {
                "min_size": CONFIG.pool_min_connections,
                "max_size": CONFIG.pool_max_connections,
                "timeout": CONFIG.connection_acquire_timeout,
                "reconnect_timeout": 5.0,  # then the next caller tries at once: no long pause after an outage
                "connection_class": BoundedConnection,
            },
        },
    }
}

REDIS_POOL = {
    "max_connections": CONFIG.redis_max_connections,
    "timeout": CONFIG.redis_operation_timeout,
    "socket_timeout": CONFIG.redis_operation_timeout,
    "socket_connect_timeout": CONFIG.redis_operation_timeout,
}
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": CONFIG.redis_database(1),
        "KEY_PREFIX": "bankes",
        "OPTIONS": {
            "CONNECTION_POOL_CLASS": "redis.BlockingConnectionPool",
            "CONNECTION_POOL_KWARGS": REDIS_POOL,
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
        },
    },
    # The second tier of ops.cache: a database and a pool of its own, and no patience. A read that Redis does not
    # answer at once is answered by PostgreSQL.
    "tiered": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": CONFIG.redis_database(2),
        "OPTIONS": {
            "CONNECTION_POOL_CLASS": "redis.BlockingConnectionPool",
            "CONNECTION_POOL_KWARGS": {
                "max_connections": CONFIG.redis_max_connections,
                "timeout": CONFIG.cache_redis_timeout,
                "socket_timeout": CONFIG.cache_redis_timeout,
                "socket_connect_timeout": CONFIG.cache_redis_timeout,
                "retry": Retry(NoBackoff(), 0),
            },
        },
    },
}

CELERY_BROKER_URL = CONFIG.redis_database(0)
CELERY_RESULT_BACKEND = None  # a job's result is a row of its own, not a message
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 3600
CELERY_TASK_SOFT_TIME_LIMIT = 3500
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 2 * CELERY_TASK_TIME_LIMIT,
    "socket_timeout": CONFIG.redis_operation_timeout,
    "socket_connect_timeout": CONFIG.redis_operation_timeout,
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")
AUTHENTICATION_BACKENDS = ["ops.signin.backend.LockingBackend"]

LANGUAGE_CODE = "en-gb"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "bankes" / "static"]
STATIC_ROOT = BASE_DIR / CONFIG.static_root
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# -- security
SECURE_SSL_REDIRECT = CONFIG.secure_cookies
SESSION_COOKIE_SECURE = CONFIG.secure_cookies
CSRF_COOKIE_SECURE = CONFIG.secure_cookies
SECURE_REDIRECT_EXEMPT = [r"^(health|metrics|config|debug)(/|$)"]  # probes and scrapes come straight to the process
SECURE_HSTS_SECONDS = 31_536_000 if CONFIG.secure_cookies else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = CONFIG.secure_cookies
SECURE_HSTS_PRELOAD = CONFIG.secure_cookies
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if CONFIG.trusted_proxies else None
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_ENGINE = "ops.signin.engine"
SESSION_COOKIE_NAME = "__Host-session" if CONFIG.secure_cookies else "session"
SESSION_COOKIE_HTTPONLY = True
# Not Strict: a link from an alert or a mail must not lead to the sign-in. Forms have their CSRF token besides.
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = CONFIG.session_idle_timeout
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
CSRF_COOKIE_NAME = "__Host-csrf" if CONFIG.secure_cookies else "csrf"
CSRF_COOKIE_HTTPONLY = True  # scripts find the token in the page
CSRF_COOKIE_SAMESITE = "Strict"
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
# Everything comes from this origin; `ops.access.policy` adds what the admin's theme needs, on its pages alone.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# -- API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["ops.access.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["ops.access.permissions.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["accounts.api.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "accounts.api.openapi.ScopedSchema",
    "EXCEPTION_HANDLER": "accounts.api.problems.problem_response",
    "DEFAULT_VERSIONING_CLASS": None,
    "DEFAULT_METADATA_CLASS": None,
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": True,
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "bankes",
    "DESCRIPTION": (
        "An event-sourced bank. Amounts are decimal strings with a currency. Every command takes an "
        "`Idempotency-Key` header and is executed at most once for it, as long as the key is remembered: "
        f"{CONFIG.idempotency_retention_hours} hours. Errors are RFC 9457 problems whose `code` is one of the "
        "published list."
    ),
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_PERMISSIONS": ["ops.access.permissions.IsStaffOrApiClient"],
    "SERVE_AUTHENTICATION": [
        "ops.access.authentication.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "PREPROCESSING_HOOKS": ["accounts.api.openapi.one_path_each"],
    "POSTPROCESSING_HOOKS": ["accounts.api.openapi.publish_codes"],
}

# -- admin theme
UNFOLD = {
    "SITE_TITLE": "bankes",
    "SITE_HEADER": "bankes",
    "SITE_SUBHEADER": "the event-sourced bank",
    "SITE_SYMBOL": "account_balance",
    "SITE_URL": None,
    "DASHBOARD_CALLBACK": "accounts.admin.frontpage.front_page",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("bankes/icon.svg")},
    ],
    "SCRIPTS": [lambda request: static("bankes/times.js")],
    "STYLES": [
        lambda request: static("bankes/admin.css"),
        lambda request: static("bankes/account.css"),
        lambda request: static("bankes/signin.css"),
        lambda request: static("bankes/jobs.css"),
        lambda request: static("bankes/overview.css"),
    ],
    "ACCOUNT": {
        "navigation": [
            {"title": "My sign-in", "link": reverse_lazy("admin:own_sign_in")},
            {"title": "My time zone", "link": reverse_lazy("admin:own_time_zone")},
            {"title": "Change password", "link": reverse_lazy("admin:password_change")},
        ]
    },
    "SIDEBAR": {"show_search": False, "navigation": "bankes.navigation.sidebar"},
}

# The ids of a request are settled by TraceMiddleware before django-structlog reads them; it binds the address too.
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True
DJANGO_STRUCTLOG_TRUST_UPSTREAM_CORRELATION_ID = True
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
DJANGO_STRUCTLOG_USER_ID_FIELD = "username"

LOGGING = logging_config(
    level=CONFIG.log_level, levels=CONFIG.log_levels, form=CONFIG.log_format, timestamps=CONFIG.log_timestamps
)
LOGGING_CONFIG = "logging.config.dictConfig"
PROMETHEUS_EXPORT_MIGRATIONS = False
# Seconds. Each is a series of its own for each view: Prometheus reads, and every scrape renders, so many.
PROMETHEUS_LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
