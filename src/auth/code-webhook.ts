/**
 * Hands one-time codes to the operator's SMS gateway: a POST of JSON, signed after Standard Webhooks
 * (https://www.standardwebhooks.com), with the same `webhook-id` at each attempt, so that a gateway sends it once.
 */
import { createHmac } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { CodeSender, CodeToSend } from './code-sender.js';

const TIMEOUT_MS = 5_000;
/** How long to wait before each further attempt. */
const PAUSES_MS = [500, 2_000];

export class WebhookCodeSender implements CodeSender {
  constructor(
    private readonly url: string,
    private readonly secret: Buffer,
  ) {}

  /** @throws what the last attempt failed with. SECURITY: neither address nor body is in its message. */
  async send(code: CodeToSend, isStopping: () => boolean): Promise<void> {
    for (const pauseMs of [...PAUSES_MS, undefined]) {
      try {
        return await this.post(code);
      } catch (error) {
        if (pauseMs === undefined || isStopping()) throw error;
        await delay(pauseMs);
      }
    }
  }

  private async post({ id, phoneNumber, code, expiresAt }: CodeToSend): Promise<void> {
    const body = JSON.stringify({
      type: 'one_time_code',
      phone_number: phoneNumber,
      code,
      expires_at: expiresAt.toISOString(),
    });
    const timestamp = String(Math.floor(Date.now() / 1_000));
    const signature = createHmac('sha256', this.secret).update(`${id}.${timestamp}.${body}`).digest('base64');
    const response = await fetch(this.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': timestamp,
        'webhook-signature': `v1,${signature}`,
      },
      body,
      redirect: 'error', // a code goes to whom it was meant for
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((error: Error & { cause?: { code?: string } }) => {
      throw new Error(`the gateway was not reached: ${error.cause?.code ?? error.name}`);
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`the gateway answered ${response.status}`);
  }
}
