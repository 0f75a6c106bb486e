"""Requests as bytes, each with an oddity or three, drawn from a seed.

`<ACCOUNT>`, `<TARGET>`, `<UPPER>` (the account's id in capitals) and `<TOKEN>` stand for what is the sender's own.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

Odd = Callable[[random.Random, "Request"], None]


@dataclass
class Request:
    """In parts, for oddities to be put into. `length`: what Content-Length says; None for the truth."""

    method: bytes
    target: bytes
    body: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    version: bytes = b"HTTP/1.1"
    length: bytes | None = None

    def raw(self, told: Callable[[bytes], bytes]) -> bytes:
        """As it is sent; `told` puts names in."""
        body = told(self.body)
        headers = list(self.headers)
        if body or self.length is not None:
            headers.append((b"Content-Length", b"%d" % len(body) if self.length is None else self.length))
        first = b" ".join((self.method, self.target, self.version))
        return told(b"\r\n".join([first, *map(b": ".join, headers)])) + b"\r\n\r\n" + body


def _of(table: bytes) -> list[bytes]:
    return table.split(b" | ")


AMOUNTS = [
    *_of(
        b'"1.00" | "0" | "0.00" | "-1" | "1e2" | "1.005" | "9999999999999999999" | "99999999999.99" | 1 | 1.5 | 1e999'
        b" | -0"
        b' | NaN | Infinity | null | true | [] | {} | "" | " 1" | "1 " | "\\u0031" | "\xd9\xa1" | "1.00\\u0000"'
        b' | "\xff" | "\\ud800" | 0x10 | 01 | '
    ),
    b"9" * 5000,
    b'"' + b"9" * 3000 + b'"',
]
TEXTS = _of(
    b'"Rent" | "" | "\\u0000" | "a\\nb" | "\\ud800" | "\\udc00\\ud800" | "\\ud83d\\ude00" | "\xf0\x9f\x98\x80" | 7'
    b' | "\xed\xa0\x80" | "\xc3\x28" | "\\u202e\\u200b" | null | "\t" | "\x00" | "\x7f" | " x " | "\\/" | "\\x"'
    b' | "\\ufeff" | "\\u2028" | "\xc2\xa0"'
) + [b'"%s"' % (text * times) for text, times in ((b"x", 200), (b"x", 4000), ("ß".encode(), 140))]
CURRENCIES = _of(b'"EUR" | "eur" | "USD" | "XXX" | "EURO" | "" | null | 978 | "EU\\u0052" | "EUR\\u0000"')
CONTRAS = _of(b'"cash" | "wire" | "fees" | "Cash" | null | 1 | "\\u0000" | []')
TARGETS = _of(
    b'"<TARGET>" | "<ACCOUNT>" | "<UPPER>" | "{<TARGET>}" | "urn:uuid:<TARGET>" | "x" | 7 | null | [] | "<TARGET> "'
    b' | "<TARGET>\\n" | "00000000-0000-0000-0000-000000000000"'
)
PLAIN = b'{"amount": "1.00", "currency": "EUR"}'
BODIES = [
    *_of(b' | null | [] | {} | "x" | 7 | { | } | nul | \xef\xbb\xbf{} | \x00 | \x1f\x8b\x08\x00 | {"": "1.00"}'),
    *_of(b'amount=1.00&currency=EUR | {\'amount\': \'1.00\'} | {"\\ud800": 1} | {"__proto__": {}, "amount": "1.00"}'),
    *(before + PLAIN + after for before, after in ((b"", b" x"), (b"", b"{}"), (b"", b"\x00"), (b"\n\t ", b"\r\n"))),
    *(before + PLAIN for before in (b"/**/", b"\xef\xbb\xbf", b"\xff")),
    PLAIN.replace(b"}", b",}"),
    PLAIN.replace(b",", b""),
    PLAIN.replace(b'"amount"', b'"\\u0061mount"'),
    PLAIN.replace(b"}", b', "\\u0061mount": "2.00"}'),
    *(PLAIN.decode().encode(encoding) for encoding in ("utf-16", "utf-16-le", "utf-32")),
    *(b"[" * 2000, b"[" * 100_000, b'{"a":' * 1000, b'{"a":' * 500 + b"1" + b"}" * 500),
    b'{"amount": [' + b"[" * 40 + b"]" * 41 + b"}",
]
HEADERS = {
    b"Authorization": [
        *_of(
            b"bearer <TOKEN> | Bearer  <TOKEN> | Bearer <TOKEN>, | Bearer\t<TOKEN> | Basic eDp5 | Bearer | "
            b" | Bearer \xff | Bearer \xc3\xa9 | <TOKEN> | Bearer <TOKEN> <TOKEN> | Bearer <TOKEN>\xa0"
            b" | Bearer <TOKEN>, Bearer <TOKEN> | Bearer \xed\xa0\x80"
        ),
        b"Bearer " + b"a" * 7000,
        b"Bearer bk_0123456789ab_" + b"A" * 43,
    ],
    b"Idempotency-Key": [
        *_of(b' |   | with space | \xff | \xc3\xa9 | a,b | "quoted" | a\tb | \x7f | fixed | a;b | %00'),
        b"x" * 255,
        b"x" * 256,
        b"x" * 9000,
    ],
    b"Content-Type": _of(
        b"application/json; charset=utf-8 | application/json;charset=utf-16 | text/json |  | text/plain | \xff | */*"
        b" | application/x-www-form-urlencoded | multipart/form-data; boundary=x | multipart/form-data"
        b" | application/x-ndjson | APPLICATION/JSON | application/json; charset=\xff | application/json, text/plain"
        b" | application/* | application/json; q=0.1; ;; | application/merge-patch+json"
    ),
    b"Accept": _of(
        b"*/* | application/json | text/html | application/* | application/json;q=0 |  | \xff | * | , ,"
        b" | text/html, application/json | application/json; indent=4 | application/json; indent=x"
        b" | application/json; version=1 | application/problem+json"
    ),
    b"Host": [
        *_of(
            b"LOCALHOST | 127.0.0.1:99999 | localhost:80:80 | evil.example |  | \xff | [::1] | localhost."
            b" | localhost@evil | localhost/ | [::1 | localhost:x"
        ),
        b"a" * 500,
    ],
    b"If-Match": _of(
        b'* | "1" | "2" | W/"1" | 1 | "01" | "0" | "1", "2" |  | "9223372036854775807" | "9999999999999999999"'
        b' | "\xd9\xa1" |  "1" '
    ),
}
MORE_HEADERS = [
    *_of(
        b"X-Request-ID: mine | X-Request-ID: a\xff | X-Request-ID: a, b | X-Correlation-ID: \xff"
        b" | X-Correlation-ID: corr"
        b" | traceparent: x | traceparent: \xff | X-Forwarded-For: 1.2.3.4 | X-Forwarded-For: \xff"
        b" | X-Forwarded-Proto: https | X-Forwarded-Proto: \xff | X-Forwarded-Host: evil | Cookie: session=x"
        b" | Cookie: \xff=\xff;;= | Cookie: session=\x01 | Origin: https://evil.example | Range: bytes=0-1"
        b" | Expect: 100-continue | Expect: 200-ok | Transfer-Encoding: chunked | Transfer-Encoding: gzip, chunked"
        b" | Transfer-Encoding: identity | TE: trailers | Content-Encoding: gzip | Accept-Encoding: gzip, br"
        b" | If-None-Match: * | If-None-Match: \xff | If-Modified-Since: x | Content-Length: 5 | Upgrade: h2c"
        b" | Upgrade: websocket | Connection: Upgrade | Connection: keep-alive | X-HTTP-Method-Override: DELETE"
        b" | X_Under: 1 | Idempotency_Key: other | Authorization: Bearer <TOKEN> | Idempotency-Key: second"
        b' | Content-Type: text/plain | Host: evil.example | If-Match: "1" | Accept: text/html | X-Fold: a\r\n b'
        b" | Bad Name: x | : x | X-Null: \x00 | Proxy-Authorization: x | Accept-Language: \xff | Accept-Language: de"
        b" | Referer: \xff | User-Agent: \xff\x01"
    ),
    b"X-Request-ID: " + b"x" * 61,
    b"A" * 3000 + b": x",
    b"X-Long: " + b"y" * 60000,
]
SUFFIXES = [
    *_of(
        b"/ | // | ? | ?x=1 | ?min_version=x | ?min_version=1&min_version=1 | ?\xff | ?%ff | %00 | %ff | %0a | %"
        b" | %zz | #x | ;x | \xc3\xa9 | %c3%a9 | /x | ?at=%00 | ?at=x | ?page_size=1"
    ),
    b"?" + b"a" * 9000,
    b"?at=" + b"9" * 400,
]
REPLACED = [
    (b"/accounts", b"//accounts"),
    (b"/accounts/", b"/accounts%2F"),
    (b"/accounts/", b"/accounts/../accounts/"),
    (b"/api", b"/%61pi"),
    (b"/api", b"/%2561pi"),
    (b"/api", b"api"),
    (b"/api", b"/API"),
    (b"/api", b"http://localhost/api"),
    (b"/api", b"http://evil.example/api"),
    (b"/v1", b"/v2"),
    (b"<ACCOUNT>", b"<UPPER>"),
    (b"<ACCOUNT>", b"<TARGET>"),
    (b"<ACCOUNT>", b"x"),
    (b"<ACCOUNT>", b"00000000-0000-0000-0000-000000000000"),
    (b"<ACCOUNT>", b"<ACCOUNT>%0d%0aX:y"),
    (b"<ACCOUNT>/", b"<ACCOUNT>%2f"),
]
METHODS = [
    *_of(b"GET | HEAD | POST | PUT | PATCH | DELETE | OPTIONS | TRACE | CONNECT | BREW | post |  | G\xff"),
    b"X" * 300,
]
VERSIONS = _of(b"HTTP/1.0 | HTTP/2.0 | HTTP/0.9 | http/1.1 |  | HTTP/1.1 x")
LENGTHS = [
    *_of(
        b"0 | 1 | 99 | -1 | +5 | 5, 5 | 5, 6 | x |  | 99999999999999999999 | 0x10 | 1e2 | \xd9\xa1 | 1048577"
        b" | 9000000"
    ),
    b"9" * 5000,
]


def added(name: bytes, values: list[bytes]) -> Odd:
    """A member at the end of the body, also where there is one of that name."""

    def change(rng: random.Random, request: Request) -> None:
        if request.body.endswith(b"}"):
            request.body = request.body[:-1] + b', "' + name + b'": ' + rng.choice(values) + b"}"

    return change


def instead(name: bytes, values: list[bytes]) -> Odd:
    """Another value for a member that is a string."""

    def change(rng: random.Random, request: Request) -> None:
        before, found, rest = request.body.partition(b'"' + name + b'": "')
        if found:
            request.body = before + found[:-1] + rng.choice(values) + rest.partition(b'"')[2]

    return change


def header(name: bytes, values: list[bytes]) -> Odd:
    """Another value for a header, or none."""

    def change(rng: random.Random, request: Request) -> None:
        request.headers = [each for each in request.headers if each[0] != name]
        if rng.random() < 0.9:
            request.headers.append((name, rng.choice(values)))

    return change


def another_header(rng: random.Random, request: Request) -> None:
    name, _, value = rng.choice(MORE_HEADERS).partition(b": ")
    request.headers.insert(rng.randrange(len(request.headers) + 1), (name, value))


def another_body(rng: random.Random, request: Request) -> None:
    request.body = rng.choice(BODIES)


def broken_body(rng: random.Random, request: Request) -> None:
    body = bytearray(request.body)
    for place in rng.sample(range(len(body)), min(len(body), rng.randint(1, 3))):
        body[place] = rng.randrange(256)
    request.body = bytes(body)


def cut_off(rng: random.Random, request: Request) -> None:
    request.body = request.body[: rng.randrange(len(request.body) + 1)]


def another_path(rng: random.Random, request: Request) -> None:
    if rng.random() < 0.5:
        request.target += rng.choice(SUFFIXES)
    else:
        request.target = rng.choice([b"*", b"/", b"", *(request.target.replace(*each) for each in REPLACED)])


def another_method(rng: random.Random, request: Request) -> None:
    request.method = rng.choice(METHODS)


def another_version(rng: random.Random, request: Request) -> None:
    request.version = rng.choice(VERSIONS)


def another_length(rng: random.Random, request: Request) -> None:
    request.length = rng.choice(LENGTHS)


ODDITIES: list[Odd] = [
    *(instead(b"amount", AMOUNTS), instead(b"currency", CURRENCIES), instead(b"target_account_id", TARGETS)),
    *(added(b"description", TEXTS), added(b"contra", CONTRAS), added(b"amount", AMOUNTS), added(b"amout", AMOUNTS)),
    *(another_body, broken_body, cut_off),
    *(header(name, values) for name, values in HEADERS.items()),
    *(another_header, another_header, another_path, another_path, another_method, another_version, another_length),
]
ROUTES = {
    b"balance": b"",
    b"deposits": PLAIN,
    b"withdrawals": PLAIN.replace(b"1.00", b"0.01"),
    b"transfers": b'{"amount": "0.01", "currency": "EUR", "target_account_id": "<TARGET>"}',
}
"""Those that the fast lane serves, with bodies that are right."""


def odd_request(rng: random.Random, number: int) -> Request:
    name, body = rng.choice(list(ROUTES.items()))
    headers = [(b"Host", b"localhost"), (b"Authorization", b"Bearer <TOKEN>"), (b"Connection", b"close")]
    if body:
        headers += [(b"Idempotency-Key", b"key-%d" % number), (b"Content-Type", b"application/json")]
    request = Request(b"POST" if body else b"GET", b"/api/v1/accounts/<ACCOUNT>/" + name, body, headers)
    for odd in rng.choices(ODDITIES, k=rng.choice((1, 1, 1, 2, 2, 3))):
        odd(rng, request)
    return request
