"""Everybody has keys of their own, and no coldkey lies on the disk."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from bittensor import Wallet

from subnet.cli.demo.cast import assemble, write_wallets


def test_seven_play_and_nobody_shares_a_key() -> None:
    cast = assemble(1, guest=False)
    kinds = Counter(player.kind for player in cast.players)
    assert kinds == {"honest": 2, "flaky": 1, "downgraded": 1, "canned": 1, "validator": 2}
    keys = [key for p in cast.players for key in (p.hotkey, p.coldkey)]
    keys += [cast.owner_hotkey, cast.owner_coldkey, cast.bank]
    assert len({key.ss58_address for key in keys}) == 17
    assert len({player.host for player in cast.players}) == 7
    assert "127.0.0.1" not in {player.host for player in cast.players}
    first, second = (player.stake for player in cast.of("validator"))
    assert first != second


def test_the_seed_fixes_everything_and_seats_are_drawn() -> None:
    def seats(seed: int) -> list[tuple[str, str]]:
        return [(p.name, p.hotkey.ss58_address) for p in assemble(seed, guest=False).players]

    assert seats(1) == seats(1)
    assert len({tuple(name for name, _ in seats(seed)) for seed in range(6)}) > 3
    assert not {address for _, address in seats(1)} & {address for _, address in seats(2)}


def test_a_guest_is_one_more_miner() -> None:
    cast = assemble(1, guest=True)
    assert [p.role for p in cast.players if p.kind == "guest"] == ["miner"]
    assert len(cast.players) == 8


def test_on_mainnet_one_copies_and_one_comes_late() -> None:
    cast = assemble(1, guest=False, mainnet=True)
    assert [player.kind for player in cast.late] == ["newcomer"]
    assert [player.kind for player in cast.judges] == ["validator", "validator"]
    assert Counter(player.kind for player in cast.of("validator")) == {"validator": 2, "copier": 1}
    assert len({player.host for player in cast.everybody}) == len(cast.everybody) == 9


def test_wallets_in_the_sdk_format_without_coldkeys(tmp_path: Path) -> None:
    cast = assemble(3, guest=False)
    write_wallets(cast, tmp_path)
    for player in cast.players:
        wallet = Wallet(player.name, "default", path=str(tmp_path))
        assert wallet.hotkey.ss58_address == player.hotkey.ss58_address
        assert wallet.coldkeypub.ss58_address == player.coldkey.ss58_address
        message = b"signed by the key on the disk"
        assert player.hotkey.verify(message, wallet.hotkey.sign(message))
    assert not list(tmp_path.glob("*/coldkey"))
