"""Who did what in the admin, when, why and from where: entries that are only ever added."""
