/** The objects and callers that requests are made with: real ones, which the test makes, and goes on making. */
import { randomUUID } from 'node:crypto';
import { ALL_SCOPES } from '../../../src/auth/scopes.js';
import { expectStatus } from '../client.js';
import { insertKey } from '../keys.js';
import { askForCode, bearer, signIn } from '../secured.js';
import type { Service } from '../service.js';
import { parsed, type Answer, type Route } from './document.js';
import type { Random } from './random.js';

/** Of each kind, the latest are kept: the earlier ones get frozen, closed, used up. */
const KEPT_MAX = 40;
/** The kind of an object by the schema of its body. */
const KINDS: Record<string, string> = {
  ...{ WalletBody: 'wallet_id', UserBody: 'user_id', HoldBody: 'hold_id', TransactionBody: 'transaction_id' },
  ...{ ScheduleBody: 'schedule_id', WebhookSecretBody: 'endpoint_id', SecretBody: 'key_id', EventBody: 'event_id' },
  ...{ SessionBody: 'session_id', CodeBody: 'code_id' },
};
/** What a field wants, where it is not called so. */
const ALIASES: Record<string, string> = {
  ...{
    from_wallet_id: 'wallet_id',
    to_wallet_id: 'wallet_id',
    sweep_to_wallet_id: 'wallet_id',
    object_id: 'wallet_id',
  },
  ...{ reverses_id: 'transaction_id', after: 'event_id', 'Last-Event-ID': 'event_id' },
};

export class World {
  private readonly pools = new Map<string, string[]>();
  /** May do everything, and is nobody whom a request can name. */
  private operator!: string;
  private reader!: string;
  private person?: string;
  private people = 0;

  private constructor(private readonly service: Service) {}

  static async of(service: Service): Promise<World> {
    const world = new World(service);
    world.operator = (await insertKey(service.database, { scopes: ALL_SCOPES })).secret;
    world.reader = (await insertKey(service.database, { scopes: ['wallets:read'] })).secret;
    for (const seq of ['1', '2', '3']) world.keep('seq', seq);
    return world;
  }

  readonly known = (random: Random, name: string): string | undefined => {
    const pool = this.pools.get(ALIASES[name] ?? name);
    // The newer the likelier.
    return pool && pool[Math.max(random.below(pool.length), random.below(pool.length))];
  };

  /** Fresh wallets with money, a hold and a schedule, so that not everything is refused for the state that it is in. */
  async refresh(): Promise<void> {
    const post = <Body = { id: string }>(path: string, body: object) =>
      this.service.api.call<Body>('POST', path, body, bearer(this.operator));
    const made = async (path: string, body: object) => expectStatus(201, await post(path, body)).id;
    const user_id = await made('/v1/users', { phone_number: this.number() });
    this.keep('user_id', user_id);
    const open = (label: string) => made('/v1/wallets', { user_id, label, minimum_balance: '0' });
    const [from, to] = [await open('main'), await open('other')];
    const credit = await made(`/v1/wallets/${from}/credits`, { amount: '500.00' });
    const hold = await made(`/v1/wallets/${from}/holds`, { amount: '10.00' });
    const starts_at = new Date(Date.now() + 12 * 366 * 86_400_000).toISOString();
    const transfer = { from_wallet_id: from, to_wallet_id: to, amount: '1.00', every: 'monthly', starts_at };
    this.keep('schedule_id', await made('/v1/schedules', transfer));
    this.keep('wallet_id', to);
    this.keep('wallet_id', from);
    this.keep('transaction_id', credit);
    this.keep('hold_id', hold);
  }

  /** A one-time code that is good, while the same number could be asked for again. */
  async refreshCode(): Promise<void> {
    const phone_number = this.number();
    const headers = bearer(this.operator);
    expectStatus(201, await this.service.api.call('POST', '/v1/users', { phone_number }, headers));
    const { id, code } = await askForCode(this.service, phone_number);
    this.pools.set('code', [code]);
    this.pools.set('code_id', [id]);
  }

  /** Whom the route is for. */
  async usualFor({ operation }: Route): Promise<string> {
    return operation['x-access'].kind === 'person' ? (this.person ??= await this.signIn()) : this.operator;
  }

  /** Mostly whom the route is for; also others, and nobody. */
  async credentialFor(random: Random, { operation }: Route): Promise<string | undefined> {
    const access = operation['x-access'];
    const roll = random.next();
    if (roll < 0.04) return undefined;
    if (roll < 0.07) return random.of(['nonsense', this.reader, `${this.operator}x`, 'a.b.c', '']);
    const mayBePerson = access.kind === 'person' || access.kind === 'anyone' || (access.kind === 'scope' && access.own);
    if (access.kind === 'person' ? roll < 0.97 : mayBePerson && roll < 0.3)
      return (this.person ??= await this.signIn());
    return this.operator;
  }

  /** Remembers what an answer tells of objects, and that a person is signed out. */
  learn(credential: string | undefined, { operation }: Route, answer: Answer): void {
    if (answer.status === 401 || answer.status === 403) {
      if (credential === this.person) this.person = undefined;
      return;
    }
    if (answer.status >= 300) return;
    const schema = operation.responses[answer.status]?.content?.['application/json']?.schema;
    const body = parsed(answer.body.toString()) as Record<string, unknown> | undefined;
    if (!schema || !body) return;
    const item = schema.$ref ?? schema.properties?.data?.items?.$ref ?? '';
    const kind = KINDS[item.split('/').at(-1)!];
    const objects = Array.isArray(body.data) ? (body.data as Array<Record<string, unknown>>).slice(-3) : [body];
    for (const { id } of objects) if (kind && typeof id === 'string') this.keep(kind, id);
    if (item.endsWith('EventPageBody')) for (const { id } of objects) this.keep('event_id', String(id));
    if (typeof body.next_cursor === 'string') this.keep('cursor', body.next_cursor);
  }

  keep(kind: string, value: string): void {
    const pool = this.pools.get(kind) ?? [];
    this.pools.set(kind, pool);
    if (pool.includes(value)) return;
    pool.push(value);
    if (pool.length > KEPT_MAX) pool.shift();
  }

  /** Somebody new, with money. */
  private async signIn(): Promise<string> {
    const phone_number = this.number();
    const post = async (path: string, body: object) =>
      expectStatus(201, await this.service.api.call<{ id: string }>('POST', path, body, bearer(this.operator))).id;
    const user_id = await post('/v1/users', { phone_number });
    const wallet = await post('/v1/wallets', { user_id, minimum_balance: '0' });
    this.keep('transaction_id', await post(`/v1/wallets/${wallet}/credits`, { amount: '100.00' }));
    const { access_token, refresh_token, session_id } = await signIn(this.service, phone_number);
    this.keep('wallet_id', wallet);
    this.keep('user_id', user_id);
    this.keep('session_id', session_id);
    this.keep('refresh_token', refresh_token);
    this.keep('key', randomUUID());
    return access_token;
  }

  private number(): string {
    return `+9196${String(this.people++).padStart(8, '0')}`;
  }
}
