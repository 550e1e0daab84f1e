/** The part of the configuration that is about webhooks. */
import { isNetwork, networks } from '../auth/auth.config.js';
import type { Environment } from '../environment.js';
import type { Reach } from './webhook.addresses.js';

/** How long to wait after each failed attempt: over about three days. */
const RETRY_SECONDS = [5, 60, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

export function readWebhooks(env: Environment, { production, auth }: { production: boolean; auth: string }) {
  const given = env.list('WEBHOOK_ALLOWED_NETWORKS');
  for (const network of given)
    env.check(isNetwork(network), 'WEBHOOK_ALLOWED_NETWORKS', network, 'addresses or networks such as 10.0.0.0/8');
  const retries = env.list('WEBHOOK_RETRY_SECONDS');
  for (const seconds of retries)
    env.check(/^\d{1,7}$/.test(seconds), 'WEBHOOK_RETRY_SECONDS', seconds, 'whole numbers, separated by commas');
  // Trying it out on one's own machine needs no configuration.
  const isOwnMachine = auth === 'open' && !production && given.length === 0;
  return {
    /** Networks beside the public internet that webhooks may go to. */
    webhookAllowedNetworks: isOwnMachine ? ['127.0.0.0/8', '::1'] : given,
    /** Seconds to wait after each failed attempt; after the last one the delivery is dead. */
    webhookRetrySeconds: retries.length > 0 ? retries.map(Number) : RETRY_SECONDS,
    webhookTimeoutMs: env.integer('WEBHOOK_TIMEOUT_MS', 15_000, 100, 60_000),
    /** Deliveries to one endpoint at a time. */
    webhookConcurrency: env.integer('WEBHOOK_CONCURRENCY', 10, 1, 100),
  };
}

/** Where webhooks may go. */
export function reachOf(config: { production: boolean; webhookAllowedNetworks: readonly string[] }): Reach {
  return { http: !config.production, allowed: networks(config.webhookAllowedNetworks) };
}
