/** The part of the configuration that says who may call, and from where. */
import { BlockList, isIP } from 'node:net';
import type { Environment } from '../environment.js';

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/;
type Variables = Record<string, string | undefined>;

export function readAuth(env: Environment, variables: Variables) {
  const production = variables.NODE_ENV === 'production';
  const host = env.text('HOST', '127.0.0.1');
  const auth = env.oneOf('AUTH', ['open', 'required'], LOOPBACK.test(host) && !production ? 'open' : 'required');
  if (production) refuseInProduction(env, auth, variables);
  return {
    host,
    production,
    auth,
    ...readTokens(env, production),
    ...readCodes(env, production),
    ...readTransport(env, production),
    metricsToken: readMetricsToken(env),
    /** Requests of one person; 0 is no limit. Of each process. */
    requestsPerMinutePerson: env.integer('REQUESTS_PER_MINUTE_PERSON', 600, 0, 1_000_000),
    /** Of an API key that has no limit of its own. */
    requestsPerMinuteKey: env.integer('REQUESTS_PER_MINUTE_KEY', 0, 0, 100_000_000),
    /** Of an address: sign-in, and requests with credentials that are not good. */
    requestsPerMinuteAddress: env.integer('REQUESTS_PER_MINUTE_ADDRESS', 60, 1, 1_000_000),
  };
}

function refuseInProduction(env: Environment, auth: string, variables: Variables): void {
  if (auth === 'open') {
    env.problems.push('AUTH=open lets everyone move money and is refused with NODE_ENV=production');
  }
  for (const name of ['TYPEORM_SYNCHRONIZE', 'DATABASE_SYNCHRONIZE']) {
    if (/^(true|1|yes|on)$/i.test(variables[name] ?? '')) {
      env.problems.push(`${name} would change the schema behind the migrations' back; leave it out`);
    }
  }
  for (const name of ['DATABASE_URL', 'DATABASE_OWNER_URL']) {
    const password = passwordOf(variables[name]);
    if (password !== undefined && /^(|postgres|password|secret|changeme|admin|root|asper|wallet)$/i.test(password)) {
      env.problems.push(`${name} has a password that everybody tries first; choose another`);
    }
  }
}

/** The password of a database's URL, from either of the places where the driver looks for it; undefined where it has none. */
function passwordOf(url = ''): string | undefined {
  if (!URL.canParse(url)) return undefined;
  const { password, searchParams } = new URL(url);
  if (password === '') return searchParams.get('password') ?? (/^[^/?#]*\/\/[^/?#@]*:@/.test(url) ? '' : undefined);
  try {
    return decodeURIComponent(password);
  } catch {
    return password;
  }
}

/** SECURITY: what is wrong with it is said without printing it. */
function readMetricsToken(env: Environment): string {
  const token = env.text('METRICS_TOKEN', '');
  if (token !== '' && !/^[\w.~+/=-]{20,200}$/.test(token)) {
    env.problems.push('METRICS_TOKEN must be 20 to 200 letters, digits and -._~+/=; `openssl rand -hex 20` makes one');
  }
  return token;
}

function readTokens(env: Environment, production: boolean) {
  const authSecret = env.secret('AUTH_SECRET', '`asper auth new-secret` makes one');
  if (production && !authSecret && env.text('AUTH_SECRET', '') === '') {
    env.problems.push('AUTH_SECRET is needed with NODE_ENV=production; `asper auth new-secret` makes one');
  }
  return {
    /** Seals signing keys and hashes one-time codes; absent, one is made and kept in the data folder, except in production. */
    authSecret,
    tokenIssuer: env.text('TOKEN_ISSUER', 'asper-wallet'),
    tokenAudience: env.text('TOKEN_AUDIENCE', 'asper-wallet'),
    accessTokenSeconds: env.integer('ACCESS_TOKEN_SECONDS', 600, 30, 600),
    /** A session ends after this long, however often it is renewed. */
    sessionDaysMax: env.integer('SESSION_DAYS_MAX', 90, 1, 3650),
    /** A session that is not renewed for this long ends. */
    sessionIdleDays: env.integer('SESSION_IDLE_DAYS', 30, 1, 3650),
    /** `open`: whoever proves a number that nobody has registered becomes a user. */
    signUp: env.oneOf('SIGN_UP', ['closed', 'open'], 'closed'),
  };
}

function readCodes(env: Environment, production: boolean) {
  const codeSender = env.oneOf('CODE_SENDER', ['console', 'webhook', 'none'], production ? 'none' : 'console');
  if (production && codeSender === 'console') {
    env.problems.push('CODE_SENDER=console prints one-time codes and is refused with NODE_ENV=production');
  }
  const codeWebhookUrl = env.text('CODE_WEBHOOK_URL', '');
  const isAddress = URL.canParse(codeWebhookUrl) && /^https?:$/.test(new URL(codeWebhookUrl).protocol);
  const codeWebhookSecret = env.secret('CODE_WEBHOOK_SECRET', '`asper auth new-secret` makes one');
  if (codeSender === 'webhook') {
    const isRight = isAddress && (!production || codeWebhookUrl.startsWith('https:'));
    env.check(
      isRight,
      'CODE_WEBHOOK_URL',
      codeWebhookUrl,
      `the address of your SMS gateway, ${production ? 'https' : 'http or https'}`,
    );
    if (!codeWebhookSecret && env.text('CODE_WEBHOOK_SECRET', '') === '') {
      env.problems.push('CODE_WEBHOOK_SECRET is needed with CODE_SENDER=webhook; `asper auth new-secret` makes one');
    }
  }
  return {
    codeSender,
    codeWebhookUrl,
    /** What the gateway knows our calls by: HMAC-SHA256. */
    codeWebhookSecret,
    codesPerNumberHour: env.integer('CODES_PER_NUMBER_HOUR', 5, 1, 1_000),
    codesPerNumberDay: env.integer('CODES_PER_NUMBER_DAY', 10, 1, 10_000),
    /** To numbers that differ in their last four digits only. */
    codesPerPrefixHour: env.integer('CODES_PER_PREFIX_HOUR', 50, 1, 1_000_000),
    codesPerAddressHour: env.integer('CODES_PER_ADDRESS_HOUR', 20, 1, 1_000_000),
    /** To all numbers together: what a day of SMS may cost at most. */
    codesPerDay: env.integer('CODES_PER_DAY', 10_000, 1, 100_000_000),
  };
}

function readTransport(env: Environment, production: boolean) {
  const trustedProxies = env.list('TRUSTED_PROXIES');
  for (const proxy of trustedProxies)
    env.check(
      isNetwork(proxy),
      'TRUSTED_PROXIES',
      proxy,
      'addresses or networks such as 10.0.0.0/8, separated by commas',
    );
  const corsOrigins = env.list('CORS_ORIGINS');
  for (const origin of corsOrigins) {
    const isOrigin = URL.canParse(origin) && new URL(origin).origin === origin;
    env.check(isOrigin, 'CORS_ORIGINS', origin, 'origins such as https://app.example.com, separated by commas');
  }
  return {
    /** Whose `X-Forwarded-For` is believed. */
    trustedProxies,
    /** Sites whose pages may call from a browser. */
    corsOrigins,
    /** Swagger UI and the OpenAPI document. */
    docs: env.oneOf('DOCS', ['on', 'off'], production ? 'off' : 'on') === 'on',
  };
}

/** Whether a text is an IP address or a network in CIDR form. */
export function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
}

/** The addresses and networks of a list, to be asked whether they contain one. */
export function networks(texts: readonly string[]): BlockList {
  const list = new BlockList();
  for (const text of texts) {
    const [address = '', bits] = text.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}
