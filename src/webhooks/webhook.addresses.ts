/**
 * Where webhooks may go (SECURITY: server-side request forgery). The URL is checked when it is given; what its name stands
 * for is checked at every connection, all of it, and the connection goes to what was checked: a name that changes its
 * mind in between gains nothing. Redirects are not followed.
 */
import ipaddr from 'ipaddr.js';
import dns from 'node:dns';
import { isIP, type BlockList, type LookupFunction } from 'node:net';

export const URL_LENGTH_MAX = 2_000;

/** What may be reached beside the public internet. */
export interface Reach {
  /** Plain `http:` as well: in development. */
  http: boolean;
  /** Networks of the house that are named in the configuration. */
  allowed: BlockList;
}

/** A place that webhooks may not go to. */
export class AddressRefused extends Error {}

/** What is wrong with the URL of an endpoint, or nothing. */
export function urlProblem(text: string, reach: Reach): string | undefined {
  if (text.length > URL_LENGTH_MAX) return `must have at most ${URL_LENGTH_MAX} characters`;
  if (!URL.canParse(text)) return 'must be a URL such as "https://example.com/webhooks"';
  const url = new URL(text);
  if (url.protocol !== 'https:' && !(reach.http && url.protocol === 'http:')) return 'must begin with https://';
  if (url.username !== '' || url.password !== '') return 'must not contain a user or password';
  if (url.hash !== '') return 'must not have a fragment';
  const literal = literalOf(url);
  if (literal !== undefined && !isReachable(literal, reach)) return `must be a public address${unlessAllowed}`;
  if (literal === undefined && !isNameReachable(url.hostname, reach)) return `must be a public name${unlessAllowed}`;
  return undefined;
}

const unlessAllowed = ', or in a network of WEBHOOK_ALLOWED_NETWORKS';

/**
 * Whether a name may be looked up at all; the addresses that it stands for are held against the networks at each connection. Names of
 * the house are only for whoever has allowed networks of the house.
 */
function isNameReachable(hostname: string, { allowed }: Reach): boolean {
  const [, suffix] = /(?:^|\.)(localhost|local|internal|onion|arpa)\.?$/i.exec(hostname) ?? [];
  if (suffix === undefined) return true;
  if (/^localhost$/i.test(hostname)) return allowed.check('127.0.0.1');
  return /^(local|internal)$/i.test(suffix) && allowed.rules.length > 0;
}

/** The address that a URL names instead of a host, however it is spelt. */
export function literalOf({ hostname }: URL): string | undefined {
  const bare = hostname.replace(/^\[(.*)\]$/, '$1');
  return isIP(bare) === 0 ? undefined : bare;
}

/** Whether an address is on the public internet, or in a network that is allowed. What stands for another is not. */
export function isReachable(address: string, { allowed }: Reach): boolean {
  const version = isIP(address);
  if (version === 0 || address.includes('%')) return false;
  if (isPublic(address)) return true;
  return allowed.check(address, version === 6 ? 'ipv6' : 'ipv4');
}

function isPublic(address: string): boolean {
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== 'unicast') return false;
  // Of IPv6 only what is given out to the world: 2000::/3.
  return parsed.kind() === 'ipv4' || (parsed.toByteArray()[0]! & 0xe0) === 0x20;
}

/**
 * Looks a name up for a connection, which then goes to one of the addresses found.
 * @param resolve for tests: names that answer as they like.
 */
export function checkedLookup(reach: Reach, resolve: typeof dns.lookup = dns.lookup): LookupFunction {
  const lookUp = inTurns(resolve);
  return (hostname, options, callback) => {
    lookUp(hostname, { family: options.family, hints: options.hints, all: true }, (error, found) => {
      if (error) return callback(error, '');
      const refused = found.find(({ address }) => !isReachable(address, reach));
      if (refused || found.length === 0) {
        return callback(
          new AddressRefused(`${hostname} stands for ${refused?.address ?? 'nothing'}, which is not public`),
          '',
        );
      }
      if (options.all) return callback(null, found);
      callback(null, found[0]!.address, found[0]!.family);
    });
  };
}

type Found = (error: NodeJS.ErrnoException | null, found: dns.LookupAddress[]) => void;

/** libuv gives look-ups half of its four threads; the third at a time would wait unseen. */
const LOOKUPS_MAX = 2;
/** A name that takes longer is slow until it takes less: one whose servers do not answer takes 10 s and more. */
const SLOW_MS = 1_000;
const SLOW_NAMES_MAX = 1_000;

/**
 * Looks up each name once for all that wait for it, and one slow name at a time: ten attempts at a name that does not resolve
 * kept both threads, and no other endpoint was sent anything. Nothing found is kept, as a name may change its mind.
 */
function inTurns(resolve: typeof dns.lookup) {
  const asked = new Map<string, { hostname: string; since?: number; ask: () => void; waiting: Found[] }>();
  const slow = new Set<string>();
  const isSlow = ({ hostname, since = Infinity }: { hostname: string; since?: number }) =>
    slow.has(hostname) || performance.now() - since >= SLOW_MS;

  const next = () => {
    const all = [...asked.values()];
    const underWay = all.filter(({ since }) => since !== undefined);
    const hasSlow = underWay.some(isSlow);
    const chosen = all.find((name) => name.since === undefined && !(hasSlow && isSlow(name)));
    if (!chosen || underWay.length >= LOOKUPS_MAX) return;
    chosen.since = performance.now();
    chosen.ask();
    next();
  };

  return (hostname: string, options: dns.LookupAllOptions, done: Found): void => {
    const key = `${hostname} ${options.family} ${options.hints}`;
    const same = asked.get(key);
    if (same) return void same.waiting.push(done);
    const ask = () =>
      resolve(hostname, options, (error, found) => {
        const name = asked.get(key)!;
        asked.delete(key);
        if (performance.now() - name.since! < SLOW_MS) slow.delete(hostname);
        else if (slow.size < SLOW_NAMES_MAX) slow.add(hostname);
        next();
        for (const tell of name.waiting) tell(error, found);
      });
    asked.set(key, { hostname, ask, waiting: [done] });
    next();
  };
}

/** SECURITY: some receivers are known by a token in the query, which is not for everybody who may read the audit log or events. */
export function withoutQuery(url: string): string {
  const { origin, pathname, search } = new URL(url);
  return origin + pathname + (search === '' ? '' : '?…');
}
