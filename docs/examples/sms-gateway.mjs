/**
 * An SMS gateway for Asper Wallet: takes its one-time codes, verifies the signature, and hands them to Twilio.
 *
 *   CODE_WEBHOOK_SECRET=… TWILIO_ACCOUNT_SID=… TWILIO_AUTH_TOKEN=… TWILIO_FROM=+1… node docs/examples/sms-gateway.mjs
 *
 * and for the wallet: CODE_SENDER=webhook CODE_WEBHOOK_URL=http://127.0.0.1:5050/ with the same CODE_WEBHOOK_SECRET.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const { CODE_WEBHOOK_SECRET, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_FROM } = process.env;
const { PORT = '5050', TWILIO_URL = 'https://api.twilio.com' } = process.env;
const secret = Buffer.from(CODE_WEBHOOK_SECRET, 'base64');
const BODY_BYTES_MAX = 10_000;
const TOLERANCE_SECONDS = 300;
/** Ids that were sent: an attempt that is repeated is no second message. */
const sent = new Set();

const server = createServer(async (request, response) => {
  try {
    let body = '';
    for await (const chunk of request) if ((body += chunk).length > BODY_BYTES_MAX) throw new Error('too large');
    const id = request.headers['webhook-id'];
    if (!isSigned(request.headers, body)) return response.writeHead(401).end();
    if (!sent.has(id)) await send(JSON.parse(body));
    sent.add(id);
    setTimeout(() => sent.delete(id), 2 * TOLERANCE_SECONDS * 1_000).unref();
    response.writeHead(204).end();
  } catch (error) {
    console.error(error.message); // without number and code
    response.writeHead(502).end(); // the wallet tries again
  }
});
server.listen(Number(PORT), '127.0.0.1', () => console.log(`listens on http://127.0.0.1:${server.address().port}`));

/** https://www.standardwebhooks.com */
function isSigned({ 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures = '' }, body) {
  if (Math.abs(Date.now() / 1_000 - Number(timestamp)) > TOLERANCE_SECONDS) return false;
  const expected = createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest();
  return signatures.split(' ').some((signature) => {
    const given = Buffer.from(signature.replace(/^v1,/, ''), 'base64');
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

/** https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource */
async function send({ phone_number, code }) {
  const response = await fetch(`${TWILIO_URL}/2010-04-01/Accounts/${TWILIO_ACCOUNT_SID}/Messages.json`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${TWILIO_ACCOUNT_SID}:${TWILIO_AUTH_TOKEN}`).toString('base64')}` },
    body: new URLSearchParams({
      To: phone_number,
      From: TWILIO_FROM,
      Body: `Your code is ${code}. Tell it to nobody.`,
    }),
    signal: AbortSignal.timeout(4_000),
  });
  if (!response.ok) throw new Error(`the provider answered ${response.status}`);
}
