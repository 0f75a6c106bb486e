"""What a list is called: on its page, in its files, and by the same name in the menu."""

from typing import Any

from django.utils.text import capfirst


def title_of(admin: Any) -> str:
    """`list_title` of the admin class, where the model's own name in the plural is not what people say."""
    return admin.list_title or capfirst(str(admin.opts.verbose_name_plural))
