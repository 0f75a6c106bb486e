"""By what accounts may be picked."""

import django_filters

from accounts.domain.currencies import EXPONENTS
from accounts.models import Account


class AccountFilter(django_filters.FilterSet):
    """Exact matches only."""

    owner = django_filters.CharFilter(strip=False)
    currency = django_filters.ChoiceFilter(choices=[(code, code) for code in sorted(EXPONENTS)])

    class Meta:
        model = Account
        fields = ["status", "currency", "product", "owner"]
