// What an application does with @polkadot/api, one JSON line a step. Arguments: the ws:// address,
// a hotkey that is registered, its subnet, another subnet.
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';

const [url, hotkey, netuid, other] = process.argv.slice(2);
const say = (step, value) => console.log(JSON.stringify({ step, value }));
const api = await ApiPromise.create({ provider: new WsProvider(url), noInitWarn: true });
const pairs = new Keyring({ type: 'sr25519', ss58Format: 42 });
const alice = pairs.addFromUri('//Alice');
const bob = pairs.addFromUri('//Bob');

const follow = (call, signer, options = {}) =>
  new Promise((resolve, reject) => {
    const statuses = [];
    call
      .signAndSend(signer, options, ({ status, dispatchError, events }) => {
        statuses.push(status.type);
        if (status.isFinalized) resolve({ statuses, dispatchError, events });
        if (status.isError) reject(new Error(status.type));
      })
      .catch(reject);
  });

say('connect', {
  chain: (await api.rpc.system.chain()).toString(),
  genesis: api.genesisHash.toHex(),
  spec: api.runtimeVersion.specVersion.toNumber(),
  metadata: api.runtimeMetadata.version,
});

const heads = [];
await new Promise((resolve) => {
  let stop;
  api.rpc.chain
    .subscribeNewHeads(async (header) => {
      heads.push([header.hash.toHex(), (await api.rpc.chain.getBlockHash(header.number)).toHex()]);
      if (heads.length === 2) stop.then((end) => end()).then(resolve);
    })
    .then((end) => { stop = Promise.resolve(end); });
});
say('heads', heads);

const before = (await api.query.system.account(bob.address)).data.free.toBigInt();
const seen = [];
const end = await api.query.system.account(bob.address, ({ data }) => seen.push(`${data.free}`));
const transfer = api.tx.balances.transferKeepAlive(bob.address, 2_000_000_000n);
const quote = (await transfer.paymentInfo(alice)).partialFee.toBigInt();
const paid = await follow(transfer, alice, { era: 64 });
const fee = paid.events.find(({ event }) => event.method === 'TransactionFeePaid').event.data[1];
say('transfer', {
  statuses: paid.statuses,
  quote: `${quote}`,
  fee: `${fee}`,
  moved: `${(await api.query.system.account(bob.address)).data.free.toBigInt() - before}`,
});
say('subscription', { pushes: seen.length, last: seen.at(-1), before: `${before}` });
end();

const name = (error) => {
  const { section, method } = api.registry.findMetaError(error.asModule);
  return `${section}.${method}`;
};
const refused = await follow(api.tx.subtensorModule.burnedRegister(999, bob.address), alice);
say('dispatchError', name(refused.dispatchError));
const batch = api.tx.utility.batchAll([
  api.tx.balances.transferKeepAlive(bob.address, 1n),
  api.tx.subtensorModule.burnedRegister(999, bob.address),
]);
say('batch', name((await follow(batch, alice)).dispatchError));

const networks = await api.query.subtensorModule.networksAdded.entries();
say('entries', networks.map(([key, value]) => [key.args[0].toNumber(), value.isTrue]));
const uids = await api.query.subtensorModule.uids.entries(netuid);
say('partial', uids.map(([key, value]) => [key.args[1].toString(), value.unwrap().toNumber()]));
const tempos = await api.query.subtensorModule.tempo.multi([netuid, other]);
say('multi', tempos.map((tempo) => tempo.toNumber()));
const first = await api.at(api.genesisHash);
say('past', (await first.query.subtensorModule.totalNetworks()).toNumber());
say('constant', api.consts.balances.existentialDeposit.toNumber());

const graph = (await api.call.subnetInfoRuntimeApi.getMetagraph(netuid)).unwrap();
say('runtime', {
  hotkeys: graph.hotkeys.map((key) => key.toString()),
  price: (await api.call.swapRuntimeApi.currentAlphaPrice(netuid)).toString(),
  nonce: (await api.call.accountNonceApi.accountNonce(alice.address)).toNumber(),
  next: (await api.rpc.system.accountNextIndex(alice.address)).toNumber(),
  owner: (await api.query.subtensorModule.owner(hotkey)).toString(),
});
const block = await api.rpc.chain.getBlock();
say('block', block.block.extrinsics.map(({ method }) => `${method.section}.${method.method}`));
await api.disconnect();
