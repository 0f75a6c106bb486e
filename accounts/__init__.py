"""The top floor: knows money. Domain rules, commands, read models, the API and the admin pages of accounts."""
