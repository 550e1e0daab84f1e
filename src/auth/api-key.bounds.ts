/**
 * SECURITY: whoever may make keys gives away no more than they have, be it by a new key or by a new secret of one that has more: a key
 * that got out could otherwise make one that is not bound as it is.
 */
import ipaddr from 'ipaddr.js';
import type { QueryRunner } from 'typeorm';
import type { Caller } from '../caller.js';
import { Problem } from '../errors.js';
import { ApiKey } from './api-key.entity.js';
import type { Scope } from './scopes.js';

const KEY_SCOPE = 'key:';

/** @throws {Problem} `insufficient_scope` */
export function demandScopes(scopes: readonly Scope[], caller: Caller): void {
  const missing = scopes.filter((scope) => !caller.scopes.has(scope));
  if (missing.length === 0) return;
  throw new Problem(
    'insufficient_scope',
    `A key can only be given scopes that its maker has; not ${missing.join(', ')}.`,
  );
}

/**
 * That it lasts no longer than the key that makes it, can be used from nowhere else, and no more often.
 * @param requestsPerMinuteKey what binds keys without a number of their own.
 * @throws {Problem} `insufficient_scope`
 */
export async function demandBounds(
  runner: QueryRunner,
  {
    expiresAt,
    allowedAddresses,
    requestsPerMinute,
  }: Pick<ApiKey, 'expiresAt' | 'allowedAddresses' | 'requestsPerMinute'>,
  { scope }: Caller,
  requestsPerMinuteKey: number,
): Promise<void> {
  if (!scope.startsWith(KEY_SCOPE)) return;
  const maker = await runner.manager.findOneByOrFail(ApiKey, { id: scope.slice(KEY_SCOPE.length) });
  if (maker.expiresAt && (!expiresAt || expiresAt > maker.expiresAt)) {
    const until = maker.expiresAt.toISOString();
    throw new Problem('insufficient_scope', `A key can last as long as its maker at most: \`expires_at\` by ${until}.`);
  }
  const { allowedAddresses: outer, requestsPerMinute: ownMost } = maker;
  // Without a number of its own a key is bound by everybody's, whoever made it; 0 bounds nobody.
  const most = ownMost ?? (requestsPerMinuteKey || Infinity);
  const isMore = requestsPerMinute === null ? ownMost !== null : requestsPerMinute > most;
  if (isMore) {
    throw new Problem(
      'insufficient_scope',
      `A key can be used as often as its maker at most: \`requests_per_minute\` up to ${most}.`,
    );
  }
  const isWithin =
    allowedAddresses.length > 0 && allowedAddresses.every((inner) => outer.some((o) => contains(o, inner)));
  if (outer.length > 0 && !isWithin) {
    throw new Problem(
      'insufficient_scope',
      `A key can be used from where its maker can at most: \`allowed_addresses\` within ${outer.join(', ')}.`,
    );
  }
}

/** Whether an address or network lies in another. */
function contains(outer: string, inner: string): boolean {
  const [network, bits] = parsed(outer);
  const [address, ownBits] = parsed(inner);
  return network.kind() === address.kind() && bits <= ownBits && address.match(network, bits);
}

function parsed(text: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const address = ipaddr.parse(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}
