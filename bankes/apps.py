"""Which admin site the bank has. (Django asks for a config; nothing else belongs here.)"""

from django.contrib.admin.apps import AdminConfig


class BankAdminConfig(AdminConfig):
    default_site = "bankes.site.BankSite"
