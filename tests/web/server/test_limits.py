"""Concurrency limits: a total, and a share for one client."""

import pytest

from web.server.limits import Busy, ConcurrencyLimit, ConcurrencyLimits, LimitedResponseBody


def take(slots: ConcurrencyLimit, address: str, times: int) -> None:
    for _ in range(times):
        slots.acquire(address)


def test_one_client_gets_its_share_and_leaves_the_rest() -> None:
    slots = ConcurrencyLimit(4, "uploads", 3)
    take(slots, "192.0.2.1", 3)
    with pytest.raises(Busy):
        slots.acquire("192.0.2.1")
    slots.acquire("192.0.2.2")
    with pytest.raises(Busy):
        slots.acquire("192.0.2.3")
    slots.release("192.0.2.1")
    slots.acquire("192.0.2.3")


def test_clients_of_ipv4_are_apart_where_both_come_to_one_socket() -> None:
    slots = ConcurrencyLimit(3, "uploads", 1)
    slots.acquire("::ffff:192.0.2.1")
    with pytest.raises(Busy):
        slots.acquire("192.0.2.1")
    slots.acquire("::ffff:192.0.2.2")
    slots.acquire("fe80::1%eth0")
    slots.release("fe80::1%eth0")
    slots.acquire("fe80::1%eth0")


def test_a_network_of_ipv6_is_one_client() -> None:
    slots = ConcurrencyLimit(10, "uploads", 2)
    slots.acquire("2001:db8::1")
    slots.acquire("2001:db8::ffff:2")
    with pytest.raises(Busy):
        slots.acquire("2001:db8:0:0:9::3")
    slots.acquire("2001:db8:0:1::1")


def test_a_released_place_is_free() -> None:
    slots = ConcurrencyLimit(1, "uploads")
    for address in ("192.0.2.1", "::1", ""):
        with slots.held(address), pytest.raises(Busy):
            slots.acquire(address)
    slots.acquire()


@pytest.mark.parametrize("threads", [16, 32, 2048])
def test_slow_clients_at_one_address_never_get_all_places(threads: int) -> None:
    places = ConcurrencyLimits.among(threads)
    for slots in (places.uploads, places.records, places.downloads):
        with pytest.raises(Busy):
            take(slots, "192.0.2.1", threads)
        if threads >= 32:
            slots.acquire("192.0.2.2")


def test_a_download_holds_a_place_of_its_own_address_until_it_is_closed() -> None:
    slots = ConcurrencyLimit(2, "downloads", 1)
    body = LimitedResponseBody(slots, iter([b"a"]), "192.0.2.1")
    with pytest.raises(Busy):
        LimitedResponseBody(slots, iter([b"a"]), "192.0.2.1")
    LimitedResponseBody(slots, iter([b"a"]), "192.0.2.2")
    body.close()
    body.close()
    LimitedResponseBody(slots, iter([b"a"]), "192.0.2.1")
    with pytest.raises(Busy):
        LimitedResponseBody(slots, iter([b"a"]), "192.0.2.3")
