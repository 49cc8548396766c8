// The accepted vectors, checked by @polkadot/util-crypto with payloads built from the text of
// docs/wire.md and docs/journal.md. Argument: the vectors' path. Prints one JSON line for each section.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  cryptoWaitReady,
  decodeAddress,
  ed25519Verify,
  encodeAddress,
  sr25519Verify,
} from '@polkadot/util-crypto';

await cryptoWaitReady();
const vectors = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, 'hex'));
const sha256 = (data) => createHash('sha256').update(data).digest('hex');
const read = (lines) => new Map(lines.map(([name, value]) => [name.toLowerCase(), value]));
const verify = { sr25519: sr25519Verify, ed25519: ed25519Verify };

function signedBy(scheme, address, payload, signature) {
  const key = decodeAddress(address);
  if (encodeAddress(key, 42) !== address) return false;
  return verify[scheme](new TextEncoder().encode(payload), bytes(signature.slice(2)), key);
}

function request(one, expected = one.payload) {
  const headers = read(one.headers);
  const scheme = headers.get('x-bittensor-crypto') ?? 'sr25519';
  const sender = headers.get('x-bittensor-hotkey');
  const payload = [
    'btauth/1', scheme, one.method.toUpperCase(), one.target, sha256(bytes(one.body)),
    headers.get('x-bittensor-nonce'), sender, headers.get('x-bittensor-receiver') ?? '-',
  ].join('\n');
  return (
    (expected === null || payload === expected) &&
    signedBy(scheme, sender, payload, headers.get('x-bittensor-signature'))
  );
}

function answer(one, digest = sha256(bytes(one.body)), signature = undefined) {
  const headers = read(one.headers);
  const scheme = headers.get('x-tw-resp-crypto') ?? 'sr25519';
  const payload = [
    'twresp/1', scheme, one.nonce, one.sender, one.hotkey, String(one.status), digest,
  ].join('\n');
  return (
    payload === one.payload &&
    headers.get('x-tw-resp-hotkey') === one.hotkey &&
    signedBy(scheme, one.hotkey, payload, signature ?? headers.get('x-tw-resp-signature'))
  );
}

function bound(one) {
  const headers = read(one.headers);
  const scheme = headers.get('x-tw-resp-crypto') ?? 'sr25519';
  const { method, target, body } = one.request;
  const payload = [
    'twresp/1+request', scheme, one.nonce, one.sender, one.hotkey, String(one.status),
    sha256(bytes(one.body)), method, target, sha256(bytes(body)),
  ].join('\n');
  return (
    payload === one.payload &&
    signedBy(scheme, one.hotkey, payload, headers.get('x-tw-resp-signature'))
  );
}

// A reply in a journal's line: whether its miner signed for it, by docs/journal.md.
const base64 = (text) => Buffer.from(text, 'base64');
const escaped = (text) =>
  text.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

// Enough for the vectors: their objects hold one text each.
function spelled(content, spelling = '') {
  let text = JSON.stringify(content);
  if (spelling.includes('blanks')) text = text.replace(':', ': ');
  return Buffer.from(spelling.includes('ascii') ? escaped(text) : text, 'utf8');
}

function reply(line, one) {
  const signed = one.signature;
  if (signed === null) return false;
  const scheme = signed.crypto ?? 'sr25519';
  const told = one.left_out ?? one.came;
  const came = one.body ? base64(one.body) : spelled(one.answer, one.spelling);
  const payload = [
    `twresp/${signed.version}`, scheme, one.nonce, line.validator, one.hotkey,
    String(one.status), told ? told.sha256 : sha256(came),
  ];
  if (signed.version === '1+request') {
    const task = line.tasks.find((item) => item.id === one.task);
    const asked = task.body ? base64(task.body) : task.text ?? spelled(task.challenge);
    payload.push('POST', line.path, sha256(asked));
  }
  const value = `0x${base64(signed.value).toString('hex')}`;
  return signedBy(scheme, one.hotkey, payload.join('\n'), value);
}

function journal({ line, forged }) {
  const replies = (text) => {
    const read = JSON.parse(text);
    return read.replies.map((one) => reply(read, one));
  };
  const honest = replies(line);
  // The last reply has no signature: whoever reads must see that an answer needs one.
  const wrong = (text) =>
    replies(text).flatMap((right, n) => {
      const { failure } = JSON.parse(text).replies[n];
      return right || (!honest[n] && failure !== null) ? [] : [n];
    });
  return { replies: honest, forged: Object.fromEntries(forged.map((one) => [one.name, wrong(one.line)])) };
}

function stream(one) {
  const hash = createHash('sha256');
  const chunks = [];
  let end;
  for (const event of Buffer.from(one.body, 'hex').toString('utf8').split(/\r?\n\r?\n/)) {
    const field = (name) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(event)?.[1].replace(/\r$/, '');
    if (field('event') === 'chunk') {
      chunks.push(field('data'));
      hash.update(field('data'), 'utf8');
    }
    if (field('event') === 'tw-end') end = JSON.parse(field('data'));
  }
  return (
    JSON.stringify(chunks) === JSON.stringify(one.chunks) &&
    end.count === chunks.length &&
    answer(one, hash.digest('hex'), end.signature)
  );
}

const sections = { requests: request, answers: answer, streams: stream, bound };
for (const [section, check] of Object.entries(sections)) {
  const accepted = Object.fromEntries(vectors[section].accepted.map((one) => [one.name, check(one)]));
  console.log(JSON.stringify({ section, accepted }));
}
console.log(JSON.stringify({ section: 'journal', ...journal(vectors.journal) }));
// What is wrong in the bytes themselves, and not by the clock or the receiver.
const forged = vectors.requests.refused.filter((one) => one.error === 'bad_signature');
console.log(
  JSON.stringify({
    section: 'forged',
    refused: Object.fromEntries(forged.map((one) => [one.name, !request(one, null)])),
  }),
);
