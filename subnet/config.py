"""Settings: one frozen model per process, and the only reader of settings files and environment.

A setting is `<table>.<key>`. It comes from the default here, else from `subnet.toml`, else from
the environment (SUBNET_<TABLE>_<KEY>), else from a flag: the last one named wins. A name that is
no setting is an error that says which one was probably meant. [subnet], [model], [weights] and
[hyperparameters] are public and the same for everybody on a subnet; [miner], [validator],
[engine] and [network] are this process's own.
"""

from __future__ import annotations

import difflib
import ipaddress
import logging
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from bittensor_core import (
    KeyfileError,
    Keypair,
    deserialize_keypair_from_keyfile_data,
    keyfile_data_is_encrypted,
)
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from subnet.errors import InvalidSetting, SettingsError, UnknownSetting, WalletError

log = logging.getLogger(__name__)

FILE_NAME = "subnet.toml"
ENVIRONMENT_PREFIX = "SUBNET_"
NOT_SETTINGS = frozenset({"SUBNET_CACHE_DIR", "SUBNET_VLLM_INSTALL", "SUBNET_VLLM_PYTHON"})
"""Variables with our prefix that are read elsewhere: where model files are cached, and vLLM is."""

FLAGS: Mapping[tuple[str, str], str] = {
    ("network", "chain"): "--network",
    ("engine", "kind"): "--engine",
}
"""Flags that are not spelled as their key."""

ENDPOINTS: Mapping[str, str] = {
    "local": "ws://127.0.0.1:9944",
    "test": "wss://test.finney.opentensor.ai:443",
    "finney": "wss://entrypoint-finney.opentensor.ai:443",
}
"""The networks by name, as the Bittensor SDK names them."""


def _split(value: object) -> object:
    """`a,b` from a variable or flag is the list a file would have."""
    return (
        [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, str)
        else value
    )


def at_home(path: Path) -> Path:
    """With a home for its `~`. Raises ValueError where nobody of that name has one."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(f"there is no home {path.parts[0]}") from None


def _in_home(path: Path, name: str, source: str) -> Path:
    """What was not looked at with the settings: a user of a container can have no home at all."""
    try:
        return at_home(path)
    except ValueError as error:
        raise InvalidSetting(name, source, str(error)) from None


def _existing(path: Path) -> Path:
    """Said here, in one line, and not when the model is opened."""
    path = at_home(path)
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _existing_model(path: Path) -> Path:
    """A file, or a folder that is one model."""
    path = at_home(path)
    return path if path.is_dir() else _existing(path)


def _publishable(value: str) -> str:
    """What the chain takes as an address, and what others can reach."""
    host, _, port = value.rpartition(":")
    address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    if address.is_unspecified or str(address) in ("127.0.0.1", "::1"):
        raise ValueError(f"the chain refuses {address}")
    if not (port.isdecimal() and 1 <= int(port) <= 65535):
        raise ValueError(f"{value!r} has no port")
    return value


CommitCall = Literal["commit_weights", "commit_timelocked_weights"]
"""By a salted hash, which the validator itself reveals one epoch later; or sealed to a future round
of the drand beacon, which the chain opens itself if it hears the beacon."""

Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


class Table(BaseModel):
    """Base of the tables: immutable, no key it does not know, no number that is none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SubnetTable(Table):
    """[subnet]: which subnet this is."""

    definition: str = "subnet.templates.inference:Inference"
    """The author's class, as "package.module:Class"."""


class ModelTable(Table):
    """[model]: the model everybody runs."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """If given, the definition must name this model: the public file and the code agree."""


class WeightsTable(Table):
    """[weights]: how long a validator remembers, and how it signs its weights."""

    half_life_rounds: Annotated[float, Field(gt=0)] = 8.0
    """After so many rounds an old score counts half as much as a new one."""
    version_key: Annotated[int, Field(ge=0)] = 0
    """Sent with the weights; the chain refuses a key below the subnet's own."""
    burn: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of all weight that goes to the owner's seat, whose pay the chain burns."""
    coldkey_seats: Annotated[int, Field(ge=1)] | None = None
    """So many hotkeys of one coldkey are paid, the best ones. Left out, all are."""


class HyperparameterTable(Table):
    """[hyperparameters]: what the chain should say; a validator warns where it says otherwise."""

    tempo: Annotated[int, Field(ge=0, le=65535)] | None = None
    weights_rate_limit: Annotated[int, Field(ge=0)] | None = None
    commit_reveal_weights_enabled: bool | None = None
    min_allowed_weights: Annotated[int, Field(ge=0, le=65535)] | None = None
    max_validators: Annotated[int, Field(ge=1, le=65535)] | None = None
    immunity_period: Annotated[int, Field(ge=0, le=65535)] | None = None


class MinerTable(Table):
    """[miner]: this miner's socket, whom it answers, and what it runs."""

    host: str = "0.0.0.0"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8091
    """Port to listen on; 0 takes a free one."""
    external_host: str | None = None
    """IP address to publish on the chain, where it is not `host`."""
    external_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port to publish on the chain, where it is not `port`."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that check and sign at the port; the model is in one more. More than one need
    `redis`."""
    redis: str | None = None
    """redis:// or unix:// address of a store for nonces and callers' shares, for all processes and
    hosts that serve this hotkey. Needs the `redis` extra."""
    tls: bool = False
    """Serve TLS, and publish the key for validators to pin."""
    tls_certificate: Annotated[Path, AfterValidator(_existing)] | None = None
    """PEM file of a certificate with an Ed25519 or P-256 key. Left out, one is made and kept."""
    tls_key: Annotated[Path, AfterValidator(_existing)] | None = None
    """PEM file of the certificate's private key, if it is not in the same file."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port of /healthz, /readyz and /metrics; 0 takes a free one. Left out, there are none."""
    metrics_host: str = "127.0.0.1"
    """Address of these pages. They say much about this miner: beyond this machine, guard them."""
    receipts: Annotated[Path, AfterValidator(at_home)] | None = None
    """File that says by whom this miner was asked and what it answered, in hashes: what it can
    show when a validator says otherwise. Left out, none is kept."""
    receipts_mib: Annotated[int, Field(ge=1)] = 64
    """Most that the receipts take on the disk, in MiB; then the older half goes."""
    behaviour: str = "honest"
    """Which of the definition's miners to run. All but `honest` are for demos and tests."""
    model_file: Annotated[Path, AfterValidator(_existing)] | None = None
    """A model file to run instead of the cached one; its hash is checked all the same."""
    allow_other_weights: bool = False
    """Weakens the check: a model file with another hash is run. For demos and tests."""
    min_stake: Annotated[float, Field(ge=0)] = 1.0
    """Alpha a caller must have staked, besides its validator permit."""
    allow: Names = ()
    """If not empty, only these hotkeys are answered (they need permit and stake all the same)."""
    deny: Names = ()
    """These hotkeys are never answered."""
    requests: Annotated[int, Field(ge=1)] = 16
    """Questions answered at once; further ones wait, the caller with the biggest stake first."""
    ip_connections: Annotated[int, Field(ge=1)] = 64
    """Connections from one address, to each worker; more where a proxy hides the callers'."""
    ip_rate: Annotated[float, Field(gt=0)] = 50.0
    """Requests a second from one address, to each worker; four seconds' worth at once."""
    degraded_s: Annotated[float, Field(gt=0)] = 300.0
    """From this age on, what is known of the chain is called old; it still decides."""
    known_only_s: Annotated[float, Field(gt=0)] = 3600.0
    """From this age on, only callers that have asked before are answered."""
    closed_s: Annotated[float, Field(gt=0)] = 21600.0
    """From this age on, nobody is answered."""
    refresh_s: Annotated[float, Field(gt=0)] = 30.0
    """Longest time between two looks at who may call."""
    drain_s: Annotated[float, Field(ge=0, le=3)] = 3.0
    """Time for questions in flight to end when the miner stops, 3 at most: all is over within 5
    seconds."""
    wait: bool = False
    """Wait for a seat instead of ending when the hotkey is not registered."""


class ValidatorTable(Table):
    """[validator]: this validator's memory, questions and pace."""

    state: Annotated[Path, AfterValidator(at_home)] | None = None
    """Folder of the ledger, the journal and the seed; see `ValidatorSettings.state_folder`."""
    seed: Annotated[str, Field(min_length=8)] | None = None
    """Secret the hidden tasks grow from. Left out, one is drawn once and kept in `state`."""
    rounds_per_epoch: Annotated[int, Field(ge=1)] = 1
    tasks_per_round: Annotated[int, Field(ge=1)] = 1
    in_flight: Annotated[int, Field(ge=1)] = 2
    """Most questions waiting for an answer at any moment. Miners take up to 4 of one caller."""
    commit_reveal: CommitCall | None = None
    """How weights are hidden where the subnet wants it, by the chain's own names of the calls;
    left out, `ValidatorSettings.commit_call` decides."""
    explain_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port where miners may ask about themselves; 0 takes a free one. Left out, there is none."""
    explain_host: str = "0.0.0.0"
    """Address to listen on for that."""
    explain_address: Annotated[str, AfterValidator(_publishable)] | None = None
    """IP:PORT to publish for it on the chain, where callers reach that port. Then it speaks TLS,
    and its key is published too. Left out, it is in the clear, and you tell your miners where."""
    journal_mib: Annotated[int, Field(ge=8)] = 4096
    """Most that the journal takes on the disk, in MiB; then its oldest parts are dropped."""
    wandb: Literal["off", "offline", "online"] = "off"
    """Copy the round log to Weights & Biases; needs the `wandb` extra."""
    otlp: str | None = None
    """http:// address of an OpenTelemetry collector that gets the rounds' numbers; needs the `otel`
    extra."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port of /healthz, /readyz and /metrics; 0 takes a free one. Left out, there are none."""
    metrics_host: str = "127.0.0.1"
    """Address of these pages. They say much about this validator: beyond this machine, guard
    them."""
    alerts: SecretStr | None = None
    """URL of a webhook that gets an HTTP POST for what must not wait. A secret: best given as
    SUBNET_VALIDATOR_ALERTS."""
    first_weights: Annotated[float, Field(ge=0, le=1)] = 0.5
    """After a start no weights are set before this share of the miners is known."""
    not_landed_epochs: Annotated[int, Field(ge=0)] = 2
    """The process ends with code 10 when no weights have landed for so many epochs, besides those
    that the subnet's own rules take; 0 is never."""
    round_limit_s: Annotated[float, Field(gt=0)] | None = None
    """The process ends with code 11 when no round was over within this time. Left out, three
    epochs, and ten minutes at least."""
    loop_limit_s: Annotated[float, Field(gt=0)] = 300.0
    """The same when the event loop has not run for so long."""
    lease: Annotated[str, Field(pattern="^(rediss?|unix)://")] | None = None
    """redis:// address at which instances of one validator take turns: one works, the others wait.
    Needs the `redis` extra."""
    lease_s: Annotated[float, Field(ge=1)] = 30.0
    """An instance that is gone for so long has lost the lease."""
    wait: bool = False
    """Wait for a seat instead of ending when the hotkey is not registered."""


class EngineTable(Table):
    """[engine]: what runs the model, in a miner and in a validator."""

    kind: Literal["llamacpp", "torch", "openai"] = "llamacpp"
    """llama.cpp on the CPU; torch, on a GPU if there is one (needs the `torch` extra); or a server
    that speaks OpenAI's protocol, vLLM first."""
    model: Annotated[Path, AfterValidator(_existing_model)] | None = None
    """A GGUF file, or a folder of safetensors with its `SHA256SUMS`, instead of the cached model.
    Its hash must be the definition's."""
    context: Annotated[int, Field(ge=16)] = 1024
    """Tokens of one prompt and its answer together."""
    waiting_limit: Annotated[int, Field(ge=0)] = 32
    """Requests that may wait for their turn; more are turned away."""
    slots: Annotated[int, Field(ge=1)] | None = None
    """Requests worked on at once. Left out, 32; with llamacpp 4, each of which takes the memory of
    a whole context."""
    device: str = "auto"
    """torch: `cpu`, `cuda`, `cuda:1`. `auto` takes the first GPU if there is one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """torch: the precision. `auto` is bfloat16 on a GPU, float32 on the CPU."""
    threads: Annotated[int, Field(ge=1)] = 1
    """torch: threads on the CPU."""
    url: str | None = None
    """openai: the server's http:// or https:// address."""
    served_model: str | None = None
    """openai: the model's name there, where the server has more than one."""
    api_key: SecretStr | None = None
    """openai: best given as SUBNET_ENGINE_API_KEY."""


class NetworkTable(Table):
    """[network]: which chain, which subnet on it, and which keys."""

    chain: str = "local"
    """`local`, `test`, `finney`, or the ws:// or wss:// address of a node."""
    netuid: Annotated[int, Field(ge=1, le=65535)] | None = None
    wallet: str = "default"
    hotkey: str = "default"
    wallet_path: Annotated[Path, AfterValidator(at_home)] = Path("~/.bittensor/wallets")

    @field_validator("chain")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ENDPOINTS and urlsplit(value).scheme not in ("ws", "wss"):
            raise ValueError(f"{value!r} is not one of {', '.join(ENDPOINTS)} nor a ws:// address")
        return value

    @property
    def endpoint(self) -> str:
        """The node's address."""
        return ENDPOINTS.get(self.chain, self.chain)

    @property
    def local(self) -> bool:
        """Whether the node is on this machine: then, and only then, private axons are allowed."""
        return is_loopback(urlsplit(self.endpoint).hostname or "")

    @property
    def wallet_folder(self) -> Path:
        """Folder of the wallet, with `hotkeys/` in it."""
        return _in_home(self.wallet_path, "network.wallet_path", "the settings") / self.wallet

    @property
    def hotkey_file(self) -> Path:
        """The one key file a neuron opens."""
        return self.wallet_folder / "hotkeys" / self.hotkey


TABLES: Mapping[str, type[Table]] = {
    "subnet": SubnetTable,
    "model": ModelTable,
    "weights": WeightsTable,
    "hyperparameters": HyperparameterTable,
    "miner": MinerTable,
    "validator": ValidatorTable,
    "engine": EngineTable,
    "network": NetworkTable,
}


class Settings(BaseModel):
    """What every process reads; each process has a subclass with its own table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subnet: SubnetTable = SubnetTable()
    model: ModelTable = ModelTable()
    weights: WeightsTable = WeightsTable()
    hyperparameters: HyperparameterTable = HyperparameterTable()
    network: NetworkTable = NetworkTable()
    engine: EngineTable = EngineTable()

    @property
    def netuid(self) -> int:
        """The subnet's number; there is no default for it."""
        if self.network.netuid is None:
            raise InvalidSetting("network.netuid", "the settings", "missing; give --netuid N")
        return self.network.netuid

    def own_folder(self, environment: Mapping[str, str] = os.environ) -> Path:
        """Where a neuron keeps what is its own: one folder per chain, subnet and hotkey name."""
        base = environment.get("XDG_STATE_HOME") or "~/.local/state"
        chain = (
            self.network.chain
            if self.network.chain in ENDPOINTS
            else "".join(c if c.isalnum() else "-" for c in self.network.chain)
        )
        keys = Path(self.network.wallet) / self.network.hotkey
        state = _in_home(Path(base), "XDG_STATE_HOME", "the environment")
        return state / "subnet" / chain / str(self.netuid) / keys


class MinerSettings(Settings):
    """Everything one miner process is told."""

    miner: MinerTable = MinerTable()


class ValidatorSettings(Settings):
    """Everything one validator process is told."""

    validator: ValidatorTable = ValidatorTable()

    @property
    def commit_call(self) -> CommitCall:
        """How weights are hidden. A chain on this machine hears no beacon, unless told to."""
        return self.validator.commit_reveal or (
            "commit_weights" if self.network.local else "commit_timelocked_weights"
        )

    def state_folder(self, environment: Mapping[str, str] = os.environ) -> Path:
        """Where this validator remembers."""
        if self.validator.state is not None:
            return self.validator.state
        return self.own_folder(environment)


S = TypeVar("S", bound=Settings)
Flags = Mapping[str, Mapping[str, object]]


def load(
    process: type[S],
    *,
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    flags: Flags | None = None,
) -> S:
    """The settings of one process.

    `file` None reads `subnet.toml` of the working folder if there is one. In `flags` (table ->
    key -> value) None means "not given". Raises UnknownSetting, InvalidSetting or SettingsError.
    """
    given: dict[tuple[str, str], tuple[object, str]] = {}
    for table, key, value, source in _file(file):
        given[table, key] = (value, source)
    for table, key, value, source in _environment(environment):
        given[table, key] = (value, source)
    for table, keys in (flags or {}).items():
        for key, value in keys.items():
            if value is not None:
                _ensure_known(table, key, f"{table}.{key}", "a flag")
                given[table, key] = (value, FLAGS.get((table, key)) or f"--{key.replace('_', '-')}")

    tables: dict[str, Table] = {}
    for name in process.model_fields:
        mine = {key: value for (table, key), (value, _) in given.items() if table == name}
        try:
            tables[name] = TABLES[name].model_validate(mine)
        except ValidationError as error:
            first = error.errors()[0]
            key = str(first["loc"][0])
            problem = first["msg"].removeprefix("Value error, ")
            raise InvalidSetting(f"{name}.{key}", given[name, key][1], problem) from None
    settings = process.model_validate(tables)
    if settings.network.local:
        log.info(
            "the chain at %s is on this machine: private axons allowed", settings.network.endpoint
        )
    return settings


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_hotkey(network: NetworkTable) -> Keypair:
    """The working key of this neuron; of all key files, the only one that is ever decoded.

    Raises WalletError. An encrypted hotkey cannot be used: nobody is there to type a password.
    """
    path = network.hotkey_file
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        known = sorted(p.name for p in path.parent.glob("*")) if path.parent.is_dir() else []
        raise WalletError(
            path,
            f"no such hotkey; there are: {', '.join(known)}"
            if known
            else "no such hotkey; create one with: btcli wallet new-hotkey",
        ) from None
    except OSError as error:
        raise WalletError(path, error.strerror or str(error)) from error
    if keyfile_data_is_encrypted(data):
        raise WalletError(path, "the hotkey is encrypted; a server needs an unencrypted one")
    try:
        return deserialize_keypair_from_keyfile_data(data)
    except (KeyfileError, ValueError) as error:
        raise WalletError(path, f"not a key file: {error}") from error


def find_bare_coldkey(network: NetworkTable) -> Path | None:
    """An unencrypted coldkey this process could read, if there is one: it has no business here."""
    path = network.wallet_folder / "coldkey"
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return None if keyfile_data_is_encrypted(data) else path


def _file(path: Path | None) -> Iterator[tuple[str, str, object, str]]:
    if path is None:
        path = Path(FILE_NAME)
        if not path.exists():
            return
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    for table, keys in document.items():
        if not isinstance(keys, dict) or table not in TABLES:
            raise UnknownSetting(f"[{table}]", str(path), _nearest(table, TABLES, "[{}]"))
        for key, value in keys.items():
            _ensure_known(table, key, f"{table}.{key}", str(path))
            yield table, key, value, str(path)


def _environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str, object, str]]:
    for name, value in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or name in NOT_SETTINGS:
            continue
        table, _, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("_")
        _ensure_known(table, key, name, "the environment")
        yield table, key, value, f"the environment ({name})"


def _ensure_known(table: str, key: str, spelled: str, source: str) -> None:
    if table in TABLES and key in TABLES[table].model_fields:
        return
    everything = [f"{t}.{k}" for t, model in TABLES.items() for k in model.model_fields]
    nearest = _nearest(f"{table}.{key}", everything, "{}")
    if nearest is not None and spelled.isupper():
        nearest = ENVIRONMENT_PREFIX + nearest.replace(".", "_").upper()
    raise UnknownSetting(spelled, source, nearest)


def _nearest(name: str, known: Mapping[str, object] | list[str], form: str) -> str | None:
    found = difflib.get_close_matches(name, list(known), n=1)
    return form.format(found[0]) if found else None
