"""What kinds of account the bank offers, and what each allows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Product:
    """`max_overdraft` is the highest overdraft limit that may be granted, in minor units."""

    code: str
    name: str
    max_overdraft: int


PRODUCTS: dict[str, Product] = {
    product.code: product
    for product in (
        Product("current", "Current account", max_overdraft=10**10),
        Product("savings", "Savings account", max_overdraft=0),
    )
}
