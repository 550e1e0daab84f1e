/**
 * Receives the webhooks of Asper Wallet, in Node.js without any package.
 *
 *   PORT=5051 WEBHOOK_SECRET=whsec_… node docs/examples/webhook-receiver.mjs
 *
 * The secret is shown once, when the endpoint is made with POST /v1/webhook-endpoints. Requests are signed after
 * https://www.standardwebhooks.com. Put it behind something that ends TLS; it listens to its own machine alone.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const BODY_BYTES_MAX = 1024 * 1024;
const TOLERANCE_SECONDS = 300;
const IDS_MAX = 10_000;

const secret = Buffer.from((process.env.WEBHOOK_SECRET ?? '').replace(/^whsec_/, ''), 'base64');
// With an empty key anybody could sign.
if (secret.length < 24) throw new Error('WEBHOOK_SECRET must be the whsec_… of the endpoint');

/** What to do with an event. Where it throws, the answer is 500, and the wallet sends the event again. */
function handle(event) {
  console.log(`${event.type} ${event.id}`);
}

/**
 * Events come at least once: again where an answer was lost, or where somebody asked for a replay. In earnest these
 * ids are a unique column in your database, written in the same transaction as what you do with the event: in memory
 * they are forgotten at a restart, and written apart from it one of the two is lost in a crash.
 */
const seen = new Set();

function handleOnce(id, body) {
  if (seen.has(id)) return;
  handle(JSON.parse(body.toString('utf8')));
  seen.add(id); // not before: what failed has to be handled when it comes again
  if (seen.size > IDS_MAX) seen.delete(seen.values().next().value); // the oldest
}

// Nobody holds a connection by sending a byte a second.
const limits = { requestTimeout: 10_000, connectionsCheckingInterval: 5_000 };
const server = createServer(limits, async (request, response) => {
  const answer = (status, headers = {}) => response.writeHead(status, headers).end();
  try {
    if (request.method !== 'POST') return answer(405, { allow: 'POST' });
    const body = await bodyOf(request);
    if (!body) return answer(413);
    if (!isSigned(request.headers, body) || !isRecent(request.headers)) return answer(401);
    handleOnce(request.headers['webhook-id'], body);
    answer(204);
  } catch (error) {
    console.error(error);
    answer(500);
  }
});
server.listen(Number(process.env.PORT ?? 5051), '127.0.0.1', () => {
  console.log(`listening on ${server.address().port}`);
});
process.once('SIGTERM', () => server.close()); // requests under way are answered

/** The bytes as they came, since they are what is signed: the same JSON written anew may differ. None if too many. */
async function bodyOf(request) {
  const chunks = [];
  let bytes = 0;
  // Read to the end, though not kept: a sender that is cut off while it sends never sees the answer.
  for await (const chunk of request) if ((bytes += chunk.length) <= BODY_BYTES_MAX) chunks.push(chunk);
  return bytes <= BODY_BYTES_MAX ? Buffer.concat(chunks) : undefined;
}

/** Whether one of the signatures is right. There are several while a secret is being replaced by another. */
function isSigned({ 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures }, body) {
  if (!id || !timestamp || !signatures) return false;
  const hmac = createHmac('sha256', secret).update(`${id}.${timestamp}.`).update(body);
  const expected = Buffer.from(`v1,${hmac.digest('base64')}`);
  return signatures.split(' ').some((signature) => {
    const given = Buffer.from(signature);
    // In constant time: how long `===` takes tells how much of a guess is right.
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

/** Whoever has recorded a request cannot send it again when its id has long been forgotten. */
function isRecent({ 'webhook-timestamp': timestamp }) {
  return Math.abs(Date.now() / 1_000 - Number(timestamp)) <= TOLERANCE_SECONDS; // false for what is no number
}
