"""API v1. Every route answers with and without a trailing slash."""

from typing import Any

from django.urls import URLPattern, path
from drf_spectacular.views import SpectacularAPIView

from accounts.api import batches, commands, imports, reads, webhooks

app_name = "api-v1"


class Accounts(reads.AccountList, commands.OpenAccount):
    """List and open."""

    required_scopes = {**reads.AccountList.required_scopes, **commands.OpenAccount.required_scopes}


class Holds(reads.AccountHolds, commands.PlaceHold):
    """List and place."""

    required_scopes = {**reads.AccountHolds.required_scopes, **commands.PlaceHold.required_scopes}


def both_ways(route: str, view: type[Any], name: str) -> list[URLPattern]:
    return [path(route, view.as_view(), name=name), path(f"{route}/", view.as_view())]


urlpatterns = [
    *both_ways("accounts", Accounts, "accounts"),
    *both_ways("accounts/<uuid:account_id>", reads.AccountDetail, "account"),
    *both_ways("accounts/<uuid:account_id>/balance", reads.AccountBalance, "balance"),
    *both_ways("accounts/<uuid:account_id>/events", reads.AccountEvents, "events"),
    *both_ways("accounts/<uuid:account_id>/transactions", reads.AccountTransactions, "transactions"),
    *both_ways("accounts/<uuid:account_id>/statement", reads.AccountStatement, "statement"),
    *both_ways("accounts/<uuid:account_id>/deposits", commands.Deposit, "deposits"),
    *both_ways("accounts/<uuid:account_id>/withdrawals", commands.Withdraw, "withdrawals"),
    *both_ways("accounts/<uuid:account_id>/transfers", commands.Transfer, "transfers"),
    *both_ways("accounts/<uuid:account_id>/holds", Holds, "holds"),
    *both_ways("accounts/<uuid:account_id>/overdraft-limit", commands.ChangeOverdraftLimit, "overdraft-limit"),
    *both_ways("accounts/<uuid:account_id>/freeze", commands.Freeze, "freeze"),
    *both_ways("accounts/<uuid:account_id>/unfreeze", commands.Unfreeze, "unfreeze"),
    *both_ways("accounts/<uuid:account_id>/close", commands.Close, "close"),
    *both_ways("transactions/<uuid:transaction_id>", reads.TransactionDetail, "transaction"),
    *both_ways("transactions/<uuid:transaction_id>/reversal", commands.Reverse, "reversal"),
    *both_ways("holds/<uuid:hold_id>", reads.HoldDetail, "hold"),
    *both_ways("holds/<uuid:hold_id>/capture", commands.CaptureHold, "capture"),
    *both_ways("holds/<uuid:hold_id>/extend", commands.ExtendHold, "extend"),
    *both_ways("holds/<uuid:hold_id>/release", commands.ReleaseHold, "release"),
    *both_ways("batches", batches.Batch, "batches"),
    *both_ways("imports", imports.Imports, "imports"),
    *both_ways("imports/<str:key>", imports.ImportDetail, "import"),
    *both_ways("imports/<str:key>/refusals", imports.ImportRefusals, "import-refusals"),
    *both_ways("webhooks", webhooks.WebhookList, "webhooks"),
    *both_ways("webhooks/<uuid:webhook_id>", webhooks.WebhookDetail, "webhook"),
    *both_ways("webhooks/<uuid:webhook_id>/secret", webhooks.WebhookSecret, "webhook-secret"),
    *both_ways("webhooks/<uuid:webhook_id>/resume", webhooks.WebhookResume, "webhook-resume"),
    *both_ways("webhooks/<uuid:webhook_id>/deliveries", webhooks.DeliveryList, "deliveries"),
    *both_ways("webhooks/<uuid:webhook_id>/deliveries/<uuid:delivery_id>", webhooks.DeliveryDetail, "delivery"),
    *both_ways(
        "webhooks/<uuid:webhook_id>/deliveries/<uuid:delivery_id>/redeliver", webhooks.Redelivery, "redelivery"
    ),
    *both_ways("schema", SpectacularAPIView, "schema"),
]
