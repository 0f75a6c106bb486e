"""`ops.html` for templates."""

from django import template

from ops import html

register = template.Library()
register.filter("when", html.when)
register.filter("short_id", html.short_id)
register.filter("pretty", html.pretty)
register.simple_tag(html.badge, name="badge")
register.simple_tag(html.page_of, name="page_of")
