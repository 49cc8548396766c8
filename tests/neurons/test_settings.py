"""Where a setting comes from, which source wins, and what is said when a name is wrong."""

from __future__ import annotations

import dataclasses
import logging
import stat
from pathlib import Path

import pytest
from bittensor_core import Keypair, serialized_keypair_to_keyfile_data

from chain.client.subnet import Hyperparameters
from subnet.config import (
    TABLES,
    HyperparameterTable,
    MinerSettings,
    NetworkTable,
    Settings,
    ValidatorSettings,
    find_bare_coldkey,
    load,
    open_hotkey,
)
from subnet.errors import InvalidSetting, SettingsError, UnknownSetting, WalletError
from subnet.seat import guard_coldkey


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "subnet.toml"
    path.write_text('[network]\nnetuid = 3\nwallet = "filed"\n[miner]\nport = 1111\n')
    return path


def test_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(MinerSettings, environment={})
    assert settings.miner.port == 8091
    assert settings.network.endpoint == "ws://127.0.0.1:9944"
    with pytest.raises(InvalidSetting, match="--netuid"):
        _ = settings.netuid


def test_flag_over_environment_over_file(file: Path) -> None:
    assert load(MinerSettings, file=file, environment={}).miner.port == 1111
    environment = {"SUBNET_MINER_PORT": "2222", "PATH": "/bin"}
    assert load(MinerSettings, file=file, environment=environment).miner.port == 2222
    flags: dict[str, dict[str, object]] = {"miner": {"port": 3333, "host": None}}
    settings = load(MinerSettings, file=file, environment=environment, flags=flags)
    assert (settings.miner.port, settings.miner.host) == (3333, "0.0.0.0")
    assert (settings.netuid, settings.network.wallet) == (3, "filed")


def test_a_file_in_the_working_folder_is_found(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert load(MinerSettings, environment={}).miner.port == 1111


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        load(MinerSettings, file=tmp_path / "absent.toml", environment={})


@pytest.mark.parametrize(
    ("text", "name", "suggestion"),
    [
        ("[miner]\nprot = 1", "miner.prot", "miner.port"),
        ("[minr]\nport = 1", "[minr]", "[miner]"),
        ("port = 1", "[port]", None),
        ("[weights]\nhalf_life = 2", "weights.half_life", "weights.half_life_rounds"),
    ],
)
def test_unknown_name_in_the_file(
    tmp_path: Path, text: str, name: str, suggestion: str | None
) -> None:
    path = tmp_path / "subnet.toml"
    path.write_text(text)
    with pytest.raises(UnknownSetting) as caught:
        load(MinerSettings, file=path, environment={})
    assert (caught.value.name, caught.value.suggestion) == (name, suggestion)
    assert str(path) in str(caught.value)


def test_unknown_name_in_the_environment(file: Path) -> None:
    with pytest.raises(UnknownSetting, match=r"did you mean SUBNET_MINER_PORT\?"):
        load(MinerSettings, file=file, environment={"SUBNET_MINER_PROT": "1"})


def test_the_cache_folder_is_no_setting(file: Path) -> None:
    load(MinerSettings, file=file, environment={"SUBNET_CACHE_DIR": "/anywhere"})


def test_another_process_s_settings_are_known_and_left_alone(file: Path) -> None:
    environment = {"SUBNET_VALIDATOR_IN_FLIGHT": "no number"}
    assert load(MinerSettings, file=file, environment=environment).miner.port == 1111
    with pytest.raises(InvalidSetting, match="SUBNET_VALIDATOR_IN_FLIGHT"):
        load(ValidatorSettings, file=file, environment=environment)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SUBNET_MINER_PORT", "70000"),
        ("SUBNET_NETWORK_CHAIN", "mainnet"),
        ("SUBNET_NETWORK_NETUID", "0"),
        ("SUBNET_WEIGHTS_HALF_LIFE_ROUNDS", "0"),
        ("SUBNET_MINER_MIN_STAKE", "inf"),
        ("SUBNET_MINER_REFRESH_S", "nan"),
        ("SUBNET_MINER_DRAIN_S", "3.5"),
        ("SUBNET_MINER_MODEL_FILE", "no-such-model.gguf"),
    ],
)
def test_bad_values_name_their_source(file: Path, variable: str, value: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        load(MinerSettings, file=file, environment={variable: value})
    assert variable in caught.value.source


def test_a_bad_flag_is_named_as_it_was_typed(file: Path) -> None:
    with pytest.raises(InvalidSetting, match="in --network: 'x' is not one of local, test, finney"):
        load(MinerSettings, file=file, environment={}, flags={"network": {"chain": "x"}})


def test_lists_and_switches_from_the_environment(file: Path) -> None:
    environment = {"SUBNET_MINER_ALLOW": "a, b", "SUBNET_MINER_WAIT": "true"}
    settings = load(MinerSettings, file=file, environment=environment)
    assert (settings.miner.allow, settings.miner.wait) == (("a", "b"), True)


@pytest.mark.parametrize("process", [MinerSettings, ValidatorSettings])
def test_every_setting_can_be_set_from_every_source(
    process: type[Settings], tmp_path: Path
) -> None:
    """A name that parses in one source and not in another would be a trap."""
    for table in process.model_fields:
        for key in TABLES[table].model_fields:
            name = f"SUBNET_{table}_{key}".upper()
            with pytest.raises(InvalidSetting) as by_file:
                path = tmp_path / "subnet.toml"
                path.write_text(f"[{table}]\n{key} = {{ a = 1 }}\n")
                load(process, file=path, environment={})
            with pytest.raises(InvalidSetting) as by_flag:
                load(process, environment={}, flags={table: {key: {"a": 1}}})
            assert by_file.value.name == by_flag.value.name == f"{table}.{key}"
            try:
                load(process, environment={name: "?"})
            except InvalidSetting as error:
                assert name in error.source


@pytest.mark.parametrize(
    ("chain", "local"),
    [
        ("local", True),
        ("ws://127.0.0.7:1", True),
        ("ws://[::1]:9944", True),
        ("ws://localhost:9944", True),
        ("test", False),
        ("finney", False),
        ("ws://192.168.1.5:9944", False),
    ],
)
def test_local_is_a_loopback_endpoint_and_is_logged(
    chain: str, local: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        settings = load(MinerSettings, environment={"SUBNET_NETWORK_CHAIN": chain})
    assert settings.network.local is local
    assert ("private axons allowed" in caplog.text) is local


def test_state_lies_apart_for_each_hotkey(tmp_path: Path) -> None:
    def folder(**names: str) -> Path:
        given = {f"SUBNET_NETWORK_{key.upper()}": value for key, value in names.items()}
        settings = load(ValidatorSettings, environment={"SUBNET_NETWORK_NETUID": "2"} | given)
        return settings.state_folder({"XDG_STATE_HOME": str(tmp_path)})

    folders = {
        folder(),
        folder(chain="test"),
        folder(netuid="3"),
        folder(wallet="w"),
        folder(hotkey="h"),
        folder(wallet="a-b", hotkey="c"),
        folder(wallet="a", hotkey="b-c"),
        folder(chain="ws://127.0.0.1:1"),
    }
    assert len(folders) == 8
    assert all(path.is_relative_to(tmp_path) for path in folders)


def test_a_user_without_a_home_is_told_which_setting_needs_one() -> None:
    settings = load(ValidatorSettings, environment={"SUBNET_NETWORK_NETUID": "2"})
    with pytest.raises(InvalidSetting, match=r"XDG_STATE_HOME .*: there is no home ~nobody-here"):
        settings.state_folder({"XDG_STATE_HOME": "~nobody-here/x"})
    # As the default is, which nothing looks at when it is read.
    network = NetworkTable.model_construct(wallet_path=Path("~nobody-here/x"), wallet="w")
    with pytest.raises(InvalidSetting, match=r"wallet_path .*: there is no home ~nobody-here"):
        network.wallet_folder  # noqa: B018


def write_key(path: Path, keypair: Keypair) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(serialized_keypair_to_keyfile_data(keypair))


def test_the_hotkey_is_opened(tmp_path: Path) -> None:
    key = Keypair.create_from_uri("//Hot")
    network = NetworkTable(wallet_path=tmp_path, wallet="w", hotkey="h")
    write_key(network.hotkey_file, key)
    assert open_hotkey(network).ss58_address == key.ss58_address


def test_a_missing_hotkey_names_those_there_are(tmp_path: Path) -> None:
    network = NetworkTable(wallet_path=tmp_path, hotkey="absent")
    with pytest.raises(WalletError, match="btcli"):
        open_hotkey(network)
    write_key(network.hotkey_file.with_name("present"), Keypair.create_from_uri("//Hot"))
    with pytest.raises(WalletError, match="there are: present"):
        open_hotkey(network)


@pytest.mark.parametrize("content", [b"", b"garbage", b"$NACL" + bytes(64)])
def test_a_key_file_that_cannot_be_used(tmp_path: Path, content: bytes) -> None:
    network = NetworkTable(wallet_path=tmp_path)
    network.hotkey_file.parent.mkdir(parents=True)
    network.hotkey_file.write_bytes(content)
    with pytest.raises(WalletError):
        open_hotkey(network)


def test_a_bare_coldkey_stops_a_public_neuron_and_warns_a_local_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    public = NetworkTable(chain="finney", wallet_path=tmp_path)
    guard_coldkey(public)
    write_key(public.wallet_folder / "coldkey", Keypair.create_from_uri("//Cold"))
    with pytest.raises(WalletError, match="coldkey"):
        guard_coldkey(public)
    guard_coldkey(public.model_copy(update={"chain": "local"}))
    assert "never keep one" in caplog.text


def test_an_encrypted_coldkey_is_no_matter(tmp_path: Path) -> None:
    network = NetworkTable(chain="finney", wallet_path=tmp_path)
    network.wallet_folder.mkdir(parents=True)
    path = network.wallet_folder / "coldkey"
    path.write_bytes(b"$NACL" + bytes(64))
    path.chmod(stat.S_IRUSR)
    assert find_bare_coldkey(network) is None


def test_every_hyperparameter_is_one_that_the_chain_has() -> None:
    """A validator compares them by name."""
    there = {field.name for field in dataclasses.fields(Hyperparameters)}
    assert set(HyperparameterTable.model_fields) <= there
