"""Binding by address: a name is whose address it comes from, as the hub knows the mesh; who comes too early waits."""

import msgspec
import pytest

from tests.hub.parties import PATHS, House, Voice


@pytest.fixture
def house():
    with House(binding="address") as made:
        made.places = {"alice": "100.64.0.7", "bob": "100.64.0.8"}
        yield made


def register(voice, name, source, **how):
    body = {"peer": name, "client_id": voice.block.client_id, "block": voice.block.id}
    return voice.send(msgspec.structs.replace(voice.message(PATHS["register"], body, **how), source=source))


def test_a_name_is_bound_from_its_own_address(house):
    heard = register(house.voice(), "alice", "100.64.0.7")

    assert (200, "alice") == (heard.status, heard.body["username"])


@pytest.mark.parametrize("name, source", [("alice", "100.64.0.8"), ("carol", "100.64.0.7"), ("alice", "")])
def test_no_name_is_bound_from_another_address(house, name, source):
    voice = house.voice()
    heard = register(voice, name, source)

    assert (403, "binding-refused", True) == (heard.status, heard.slug, heard.authenticated)
    assert "new" == house.state(voice.block)
    assert [("client.waiting", name)] == [
        (event, fields["peer"]) for event, fields in house.events if event != "client.added"
    ]


def test_who_came_too_early_is_let_through_when_the_hub_knows_its_address_and_pays_nothing_more(house):
    voice = house.voice()
    register(voice, "carol", "100.64.0.9")
    before = house.run(house.books.registration.bind_found)
    house.places["carol"] = "100.64.0.9"
    found = house.run(house.books.registration.bind_found)

    assert ([], ["carol"]) == (before, [client.wanted for client in found])
    assert "ready" == house.state(voice.block)
    assert 200 == register(voice, "carol", "100.64.0.9").status


def test_who_waits_at_a_wrong_address_is_not_let_through_when_the_right_one_is_known(house):
    voice = house.voice()
    register(voice, "carol", "100.64.0.66")
    house.places["carol"] = "100.64.0.9"

    assert [] == house.run(house.books.registration.bind_found)
    assert "new" == house.state(voice.block)


def test_of_two_that_wait_for_one_name_only_one_gets_it(house):
    first, second = house.voice(), house.voice()
    for voice in (first, second):
        register(voice, "carol", "100.64.0.9")
    house.places["carol"] = "100.64.0.9"
    rounds = [len(house.run(house.books.registration.bind_found)) for _ in range(2)]

    assert [1, 0] == rounds
    assert {"ready", "new"} == {house.state(first.block), house.state(second.block)}


def test_an_operator_can_let_through_who_waits(house):
    voice = house.voice()
    register(voice, "carol", "100.64.0.9")
    client = house.books.clients.get(voice.block.client_id)
    house.run(lambda: house.books.registration.approve(client))

    assert "ready" == house.state(voice.block)


def test_a_further_file_needs_a_proof_and_no_address(house):
    first = house.voice()
    register(first, "alice", "100.64.0.7")
    second = Voice(house, house.block())

    assert "proof-required" == register(second, "alice", "100.64.0.7").slug
    assert 200 == register(second, "alice", "100.64.0.66", proof=first).status


def test_a_file_that_was_made_for_a_name_needs_no_address(house):
    voice = Voice(house, house.block(house.client("dave")))

    assert 200 == register(voice, "dave", "100.64.0.66").status


@pytest.mark.parametrize("binding", ["open", "manual"])
def test_where_addresses_bind_nobody_nobody_is_found_by_them(binding):
    with House(binding=binding) as house:
        voice = house.voice()
        register(voice, "carol", "100.64.0.9")
        house.places["carol"] = "100.64.0.9"

        assert [] == house.run(house.books.registration.bind_found)
