/** Secrets and signatures after Standard Webhooks (https://www.standardwebhooks.com). */
import { createHmac, randomBytes } from 'node:crypto';

const PREFIX = 'whsec_';
const SECRET_BYTES = 32;

export function newWebhookSecret(): Buffer {
  return randomBytes(SECRET_BYTES);
}

/** As people see it: `whsec_` and base64. */
export function secretText(secret: Buffer): string {
  return PREFIX + secret.toString('base64');
}

/** The value of `webhook-signature`: one for each secret that is good. @param timestamp in seconds */
export function signaturesOf(secrets: readonly Buffer[], id: string, timestamp: number, body: string): string {
  const sign = (secret: Buffer) => createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64');
  return secrets.map((secret) => `v1,${sign(secret)}`).join(' ');
}
