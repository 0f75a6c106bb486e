"""The rules of money, pure Python: no Django, no I/O, no clock."""
